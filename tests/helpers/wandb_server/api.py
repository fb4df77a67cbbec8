"""W&B's GraphQL fields, from the store. What a mutation is called, and what its answer has, is the client's wording."""

import base64
import json
from collections.abc import Sequence
from typing import Any

import yaml

from reports.files import Json
from tests.helpers.wandb_server.store import Artifact, Project, Run, Store, Sweep, new_name

ENTITY = "someone"
"""The user's own entity."""


class NotFoundError(LookupError):
    """What was asked about has been forgotten."""


class Api:
    """Fields of the root, for queries and mutations alike."""

    def __init__(self, store: Store, url: str) -> None:
        self._store = store
        self._url = url

    def root(self) -> Json:
        """What `graphql.execute` starts from."""
        return {
            "viewer": {"id": "VXNlcjox", "entity": ENTITY, "username": ENTITY, "email": "", "flags": "{}",
                       "teams": _connection([])},
            "serverInfo": {"features": []},
            "entity": lambda name: {"name": name},
            "project": self._project,
            "model": self._project,
            "artifact": lambda id: self._artifact(self._store.artifacts[id]),
            "models": lambda entityName, **_: _connection(
                [self._project_itself(one) for (entity, _), one in self._store.projects.items() if entity == entityName]
            ),
            "upsertView": self._upsert_view,
            "upsertBucket": self._upsert_bucket,
            "upsertSweep": self._upsert_sweep,
            "createAgent": self._create_agent,
            "agentHeartbeat": self._agent_heartbeat,
            "createRunFiles": self._create_run_files,
            "markRunFilesUploaded": lambda input: {"success": True},
            "createArtifact": self._create_artifact,
            "createArtifactManifest": self._create_artifact_manifest,
            "createArtifactFiles": self._create_artifact_files,
            "commitArtifact": self._commit_artifact,
        }  # fmt: skip

    def _project(self, name: str | None, entityName: str | None) -> Json | None:
        """A project's fields; null for one that there isn't, where W&B has it so."""
        project = self._store.projects.get((entityName or ENTITY, name or "uncategorized"))
        if project is None:
            return None
        return {
            **self._project_itself(project),
            "runCount": lambda filters=None: len(self._find(project, filters)),
            "runs": lambda filters=None, after=None, first=50, order=None: self._runs(
                project, filters, after, first, order
            ),
            "run": lambda name: self._run(project, project.runs.get(name)),
            "bucket": lambda name, missingOk=False: self._run(project, project.runs.get(name)),
            "sweep": lambda sweepName: self._sweep(project, project.sweeps.get(sweepName)),
            "artifactType": lambda name: {"id": name, "name": name, "__typename": "ArtifactType"},
        }

    @staticmethod
    def _project_itself(project: Project) -> Json:
        return {
            "__typename": "Project",
            "id": project.name,
            "internalId": "1",
            "entityName": project.entity,
            "createdAt": "2026-01-01T00:00:00Z",
            "isBenchmark": False,
            "name": project.name,
            "readOnly": False,
            "entity": {"id": project.entity, "name": project.entity},
        }

    def _find(self, project: Project, filters: str | None) -> list[Run]:
        return self._store.find(project, json.loads(filters or "{}"))

    def _runs(self, project: Project, filters: str | None, after: str | None, first: int, order: str | None) -> Json:
        found = sorted(self._find(project, filters), key=lambda run: run.created, reverse=(order or "").startswith("-"))
        start = int(after or 0)
        page = [self._run(project, run) for run in found[start : start + first]]
        return _connection(page, start, more=start + first < len(found))

    def _run(self, project: Project, run: Run | None) -> Json | None:
        if run is None:
            return None
        rows = run.rows()
        return {
            "id": f"{project.entity}/{project.name}/{run.name}",
            "projectId": "1",
            "tags": [],
            "readOnly": False,
            "createdAt": "2026-01-01T00:00:00Z",
            "user": {"name": ENTITY, "username": ENTITY},
            "historyTail": json.dumps(run.history[-1:]),
            "eventsTail": "[]",
            "wandbConfig": "{}",
            **run.about,
            "name": run.name,
            "sweepName": run.sweep,
            "state": self._store.state(run),
            "config": json.dumps(run.config),
            "summaryMetrics": json.dumps(run.summary),
            "exitcode": run.exit_code,
            "historyLineCount": len(rows),
            "logLineCount": len(run.console),
            "eventsLineCount": 0,
            "historyKeys": {"lastStep": rows[-1]["_step"], "keys": {}, "sets": []} if rows else None,
            "history": lambda samples, minStep=None, maxStep=None: _history(run, minStep, maxStep, samples),
            "sampledHistory": lambda specs: [_sampled(rows, json.loads(spec)) for spec in specs],
            "parquetHistory": lambda liveKeys: {"parquetUrls": [], "liveData": []},
            "fileCount": len(run.files),
            "files": lambda names=None, after=None, first=50, pattern=None: self._files(
                project, run, names, after, first
            ),
            "project": self._project_itself(project),
        }

    def _files(self, project: Project, run: Run, names: Sequence[str] | None, after: str | None, first: int) -> Json:
        chosen = [name for name in sorted(run.files) if not names or name in names]
        start = int(after or 0)
        page = [
            {
                "id": name,
                "name": name,
                "url": self._file_url(project, run, name),
                "directUrl": self._file_url(project, run, name),
                "sizeBytes": len(run.files[name]),
                "mimetype": "text/plain",
                "updatedAt": "2026-01-01T00:00:00Z",
                "md5": None,
            }
            for name in chosen[start : start + first]
        ]
        return _connection(page, start, more=start + first < len(chosen))

    def _file_url(self, project: Project, run: Run, name: str) -> str:
        return f"{self._url}/storage/{project.entity}/{project.name}/{run.name}/{name}"

    def _upsert_bucket(self, input: Json) -> Json:
        if input.get("id"):
            entity, project_name, name = input["id"].split("/")
        else:
            entity, project_name = input.get("entityName") or ENTITY, input.get("modelName") or "uncategorized"
            name = input.get("name") or new_name()
        project = self._store.project(entity, project_name)
        inserted = name not in project.runs
        run = project.runs.setdefault(name, Run(name))
        if not run.about:
            run.about = {"displayName": name}
        run.pending = False
        run.sweep = input.get("sweep") or run.sweep
        run.config |= json.loads(input.get("config") or "{}")
        run.summary |= json.loads(input.get("summaryMetrics") or "{}")
        names = {"groupName": "group", "jobType": "jobType", "displayName": "displayName", "tags": "tags",
                 "notes": "notes", "description": "description"}  # fmt: skip
        run.about |= {own: input[theirs] for theirs, own in names.items() if input.get(theirs) is not None}
        return {"bucket": self._run(project, run), "inserted": inserted}

    def _upsert_sweep(self, input: Json) -> Json:
        project = self._store.project(input.get("entityName") or ENTITY, input.get("projectName") or "uncategorized")
        if input.get("id"):
            sweep = project.sweeps[input["id"]]
            sweep.state = input.get("state") or sweep.state
        else:
            sweep = self._store.add_sweep(project, input["config"])
        return {"sweep": self._sweep(project, sweep), "configValidationWarnings": []}

    def _sweep(self, project: Project, sweep: Sweep | None) -> Json | None:
        if sweep is None:
            return None
        return {
            "__typename": "Sweep",
            "id": sweep.name,
            "name": sweep.name,
            "displayName": sweep.config.get("name"),
            "method": sweep.config.get("method"),
            "description": sweep.config.get("description"),
            "state": sweep.state,
            "config": yaml.safe_dump(sweep.config),
            "createdAt": "2026-01-01T00:00:00Z",
            "runCount": sum(run.sweep == sweep.name for run in project.runs.values()),
            "runCountExpected": sweep.size,
            "runs": _connection([]),
            "project": self._project_itself(project),
        }

    def _create_agent(self, input: Json) -> Json:
        project = self._store.project(input.get("entityName") or ENTITY, input.get("projectName") or "uncategorized")
        sweep = project.sweeps[input["sweep"]]
        agent = f"{project.entity}/{project.name}/{sweep.name}/{new_name()}"
        sweep.agents[agent] = []
        return {"agent": {"id": agent}}

    def _agent_heartbeat(self, input: Json) -> Json:
        entity, project_name, sweep_name, _ = input["id"].split("/")
        project = self._store.project(entity, project_name)
        if sweep_name not in project.sweeps:
            raise NotFoundError(f"sweep {sweep_name}")
        sweep = project.sweeps[sweep_name]
        busy = bool(json.loads(input.get("runState") or "{}"))
        commands = self._store.next_command(project, sweep, input["id"], busy)
        return {"agent": {"id": input["id"]}, "commands": json.dumps(commands)}

    def _upsert_view(self, input: Json) -> Json:
        project = self._store.project(input["entityName"], input["projectName"])
        project.pages.append(input)
        return {"view": {**input, "id": "1", "project": self._project_itself(project)}, "inserted": True}

    def _create_run_files(self, input: Json) -> Json:
        project = self._store.project(input["entityName"], input["projectName"])
        run = project.runs[input["runName"]]
        files = [{"name": name, "uploadUrl": self._file_url(project, run, name)} for name in input["files"]]
        return {"runID": run.name, "uploadHeaders": [], "files": files}

    def _create_artifact(self, input: Json) -> Json:
        artifact = Artifact(
            base64.b64encode(f"Artifact:{len(self._store.artifacts)}".encode()).decode(),
            input["artifactTypeName"],
            input["artifactCollectionName"],
            input["runName"],
        )
        self._store.artifacts[artifact.id] = artifact
        return {"artifact": self._artifact(artifact)}

    def _artifact(self, artifact: Artifact) -> Json:
        return {
            "id": artifact.id,
            "state": "COMMITTED" if artifact.committed else "PENDING",
            "digest": "",
            "artifactSequence": {"latestArtifact": None},
            "currentManifest": {"file": {"directUrl": f"{self._url}/artifacts/{artifact.id}"}},
        }

    def _create_artifact_manifest(self, input: Json) -> Json:
        url = f"{self._url}/artifacts/{input['artifactID']}"
        return {"artifactManifest": {"id": input["artifactID"], "file": {"id": "1", "uploadUrl": url,
                                                                         "uploadHeaders": []}}}  # fmt: skip

    def _create_artifact_files(self, input: Json) -> Json:
        nodes = [
            {
                "storagePath": file["name"],
                "uploadUrl": f"{self._url}/artifacts/{file['artifactID']}/{file['name']}",
                "uploadHeaders": [],
                "artifact": {"id": file["artifactID"]},
            }
            for file in input["artifactFiles"]
        ]
        return {"files": _connection(nodes)}

    def _commit_artifact(self, input: Json) -> Json:
        artifact = self._store.artifacts[input["artifactID"]]
        artifact.committed = True
        return {"artifact": self._artifact(artifact)}


def _connection(nodes: Sequence[Json | None], start: int = 0, more: bool = False) -> Json:
    """A page of a list, as GraphQL's clients expect it. A cursor is how many came before, and with, its node."""
    edges = [{"node": node, "cursor": str(start + count)} for count, node in enumerate(nodes, start=1)]
    page = {"__typename": "PageInfo", "endCursor": str(start + len(nodes)), "hasNextPage": more}
    return {"edges": edges, "pageInfo": page}


def _history(run: Run, first: int | None, end: int | None, samples: int) -> list[str]:
    """Rows of a range of steps; and where there are too many, some of them, as W&B does."""
    chosen = [
        line
        for line, row in zip(run.history, run.rows(), strict=True)
        if (first is None or row["_step"] >= first) and (end is None or row["_step"] < end)
    ]
    return _some(chosen, samples)


def _sampled(rows: list[Json], spec: Json) -> list[Json]:
    """Rows of a range of steps, both ends included, that have all keys; and of too many, some."""
    first, last = spec.get("minStep") or 0, spec.get("maxStep")
    whole = [
        row
        for row in rows
        if all(key in row for key in spec["keys"]) and first <= row["_step"] and (last is None or row["_step"] <= last)
    ]
    return [{key: row[key] for key in spec["keys"]} for row in _some(whole, spec.get("samples", 500))]


def _some(rows: list[Any], number: int) -> list[Any]:
    return rows if len(rows) <= number else [rows[len(rows) * place // number] for place in range(number)]
