"""Storage URLs: printed without a password, wherever it is."""

import pytest

from study.plans.urls import without_password


@pytest.mark.parametrize(
    ("url", "printed"),
    [
        ("postgresql://me:hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql+psycopg://me:hunter2@[::1]:5432/db", "postgresql+psycopg://me:***@[::1]:5432/db"),
        ("postgresql://me:hunter2@hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:hunter2:hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://me:hunter2/hunter2?hunter2@host/db", "postgresql://me:***@host/db"),
        ("postgresql://:hunter2@host/db", "postgresql://:***@host/db"),
        ("postgresql://host/db?user=me&password=hunter2", "postgresql://host/db?user=me&password=***"),
        ("postgresql://host/db?sslpassword=hunter2&sslmode=on", "postgresql://host/db?sslpassword=***&sslmode=on"),
        ("postgresql://host/db?PassWord=hunter2;hunter2#hunter2", "postgresql://host/db?PassWord=***"),
        ("postgresql://host/db?pass%77ord=hunter2", "postgresql://host/db?pass%77ord=***"),
        ("postgresql://me:hunter2@host/db?password=hunter2", "postgresql://me:***@host/db?password=***"),
        ("postgresql:me:hunter2@host/db", "postgresql:***@host/db"),
        ("postgresql:/me:hunter2@host/db", "postgresql:/me:***@host/db"),
        ("me:hunter2@host", "me:***@host"),
        ("grpc://me:hunter2@host:13000", "grpc://me:***@host:13000"),
        ("postgresql://host/db?sslmode=on#hunter2", "postgresql://host/db?sslmode=on#***"),
        ("postgresql://host/db#password=hunter2", "postgresql://host/db#***"),
        ("postgresql://host/db?options=-c%20a.b%3Dhunter2", "postgresql://host/db?options=***"),
        ("https://host/db?apikey=hunter2&api_key=hunter2", "https://host/db?apikey=***&api_key=***"),
        ("https://host/db?auth=hunter2&x=y", "https://host/db?auth=***&x=y"),
        ("postgresql://host/db?sslkey=hunter2", "postgresql://host/db?sslkey=***"),
        ("sqlite:///a.db?key=hunter2", "sqlite:///a.db?key=***"),
        ("mysql://me:hunter2\n@host/db", "mysql://me:***@host/db"),
    ],
)
def test_no_password_is_printed(url: str, printed: str) -> None:
    assert without_password(url) == printed
    assert "hunter2" not in printed


@pytest.mark.parametrize(
    "url",
    [
        "journal:runs@home/queue.journal",
        "sqlite:////home/me@work/a:b@c.db?timeout=5",
        "postgresql://me@host:5432/db?sslmode=require",
        "postgresql://[::1]:5432/db",
        "grpc://host:13000",
        "",
    ],
)
def test_a_url_without_password_is_printed_as_it_is(url: str) -> None:
    assert without_password(url) == url
