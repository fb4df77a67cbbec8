# The study in a container. No container engine was at hand: this file is untested.
#
#   docker build -t IMAGE .                                 docs/install.md has the smaller build, without CUDA
#   docker run -v "$PWD/runs:/project/runs" IMAGE           make study; the report is runs/report/report.md
#   docker run IMAGE study compare --help                   any other command
#   docker run IMAGE dask worker tls://HOST:8786 ...        a worker; docs/clusters/workers.sh begins one for each core
FROM python:3.11-slim

# An index beside pip's own, such as PyTorch's for CPUs.
ARG PIP_EXTRA_INDEX_URL

# git: a run's provenance has the commit.
RUN apt-get update \
    && apt-get install -y --no-install-recommends git make \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /project
COPY . .
RUN PIP_NO_CACHE_DIR=1 make .venv/installed

ENV PATH=/project/.venv/bin:$PATH
CMD ["make", "study"]
