"""Who may do what: keys, sessions, other people's tasks, other sites' requests, host names, rates."""

from __future__ import annotations

import asyncio
import base64
import logging
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from one_ocr_ray.errors import UsageError
from one_ocr_ray.service.api.sessions import local_path
from one_ocr_ray.service.ended_sessions import EndedSessionCache
from one_ocr_ray.service.keys import ApiKeys, expiry_of, load_keys
from one_ocr_ray.service.middleware.auth import COOKIE
from one_ocr_ray.storage.tasks.ended_sessions import EndedSessions
from tests import pdfs
from tests.service.site import KEYS, Site, problem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OPEN = {"/healthz", "/readyz"}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A service with two keys; `http` has the first."""
    with Site(tmp_path_factory.mktemp("guarded"), keys=True, requests_per_second=1000) as running:
        yield running


@pytest.fixture
def operations(guarded: Site) -> list[tuple[str, str]]:
    """Every operation that the API describes, and those that only a browser meets."""
    paths: dict[str, Any] = guarded.http.get("/openapi.json").json()["paths"]
    described = [(method.upper(), path) for path, methods in paths.items() for method in methods]
    return [*described, ("GET", "/openapi.json"), ("GET", "/docs"), ("GET", "/tasks/{task_id}"), ("GET", "/")]


def filled(path: str, task_id: str, batch_id: str) -> str:
    """`path` with real ids in it."""
    return path.replace("{task_id}", task_id).replace("{batch_id}", batch_id).replace("{page_number}", "1")


def test_nothing_but_the_open_paths_answers_without_a_key(
    guarded: Site, operations: list[tuple[str, str]], tmp_path: Path
) -> None:
    """Without a key, with a wrong one, in whatever form: 401 on every route, also on those that do not exist."""
    task_id = guarded.finished()
    batch_id = guarded.status(task_id)["batch_id"]
    basic = base64.b64encode(f"user:{KEYS[0]}".encode()).decode()
    credentials = [
        {}, {"Authorization": "Bearer wrong"}, {"X-Api-Key": "wrong"}, {"Authorization": f"Basic {basic}"},
        {"Cookie": f"{COOKIE}={KEYS[0]}"},
        {"Authorization": "Bearer x", "X-Api-Key": KEYS[0]}, {"Authorization": "Bearer"}, {"X-Api-Key": KEYS[0][:-1]},
    ]  # fmt: skip
    paths = [*operations, ("GET", "/no/such/route"), ("DELETE", "/")]
    for number, given in enumerate(credentials):
        folder = tmp_path / str(number)
        folder.mkdir()
        with Site(folder, keys=True) as site:  # one for each: who guesses keys is slowed down
            stranger = site.client(**given, **{"Sec-Fetch-Site": "same-origin"})
            for method, path in [each for each in paths if each[1] not in OPEN]:
                answer = stranger.request(method, filled(path, task_id, batch_id))
                assert problem(answer) == (401, "unauthorized"), (method, path, given)
                assert answer.headers["www-authenticate"].startswith("Bearer")


def test_another_keys_task_is_not_there(guarded: Site, operations: list[tuple[str, str]]) -> None:
    """With two keys over every route that names a task or a batch: 404 for the other, whatever its state, and no list
    of the other holds it; it stands unharmed afterwards.
    """
    task_id = guarded.finished(pdfs.text_pdf(2))
    before = guarded.status(task_id)
    batch_id = before["batch_id"]
    other = guarded.client(KEYS[1])
    named = [(method, path) for method, path in operations if "{" in path]
    assert len(named) >= 14
    for method, path in named:
        answer = other.request(method, filled(path, task_id, batch_id))
        assert answer.status_code == 404, (method, path, answer.text)
        nowhere = other.request(method, filled(path, "t_" + "0" * 22, "b_" + "0" * 22))
        assert _same(answer, nowhere), (method, path)
    assert other.get("/v1/tasks").json() == {"items": [], "next_cursor": None}
    assert other.get(f"/v1/tasks?batch_id={batch_id}").json()["items"] == []
    assert guarded.status(task_id) == before
    assert task_id in guarded.http.get("/v1/tasks").text


def _same(one: httpx.Response, other: httpx.Response) -> bool:
    """True if two answers tell the same but for the request's id."""
    return (
        all(one.json().get(name) == other.json().get(name) for name in ("status", "code", "detail", "title"))
        if one.headers["content-type"] == "application/problem+json"
        else len(one.content) == len(other.content)
    )


def test_another_keys_idempotency_key_is_another(guarded: Site) -> None:
    """The same Idempotency-Key and file of two callers are two requests."""
    files, key = {"files": ("a.pdf", pdfs.text_pdf())}, {"Idempotency-Key": "the-same"}
    one = guarded.http.post("/upload", files=files, headers=key).json()
    two = guarded.client(KEYS[1]).post("/upload", files=files, headers=key).json()
    assert one["batch_id"] != two["batch_id"]


def test_a_key_is_taken_from_either_header(guarded: Site) -> None:
    """`Authorization: Bearer` in any case, or `X-Api-Key`."""
    for headers in ({"Authorization": f"bearer {KEYS[1]}"}, {"X-Api-Key": KEYS[1]}):
        assert guarded.client(**headers).get("/v1/tasks").status_code == 200


class TestSessions:
    """A browser's session: from a key, for a time, and for nobody else."""

    def test_login_gives_a_cookie_that_works(self, guarded: Site) -> None:
        """The cookie is HttpOnly and SameSite=Strict, holds no key, and ends with the logout."""
        browser = guarded.client()
        answer = browser.post("/login", data={"key": KEYS[0]}, headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["location"]) == (303, "/")
        cookie = answer.headers["set-cookie"]
        assert "HttpOnly" in cookie
        assert "samesite=strict" in cookie.lower()
        assert "Secure" not in cookie
        assert KEYS[0] not in cookie
        assert browser.get("/v1/tasks").status_code == 200
        browser.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
        assert browser.get("/v1/tasks").status_code == 401

    def test_a_session_is_nobodys_after_its_logout(self, guarded: Site) -> None:
        """Also where the cookie was copied, and for another replica over the same store; other sessions go on."""
        browser, copied, other = guarded.client(), guarded.client(), guarded.client()
        for each in (browser, other):
            each.post("/login", data={"key": KEYS[0]})
        copied.cookies.update(browser.cookies)
        assert copied.get("/v1/tasks").status_code == 200
        browser.post("/logout", headers={"Sec-Fetch-Site": "same-origin"})
        assert copied.get("/v1/tasks").status_code == 401
        assert other.get("/v1/tasks").status_code == 200
        session = copied.cookies[COOKIE]
        replica = EndedSessionCache(EndedSessions(guarded.store.root))
        assert asyncio.run(replica.has(session))
        assert EndedSessions(guarded.store.root).digests(now=float(expiry_of(session))) == frozenset()
        assert copied.get("/v1/tasks").status_code == 401

    def test_behind_tls_the_cookie_is_secure(self, guarded: Site) -> None:
        """A proxy that ends TLS says so, and the cookie never goes over plain HTTP."""
        answer = guarded.client().post("/login", json={"key": KEYS[0]}, headers={"X-Forwarded-Proto": "https"})
        assert answer.status_code == 204
        assert "Secure" in answer.headers["set-cookie"]

    def test_a_wrong_key_gives_none(self, guarded: Site) -> None:
        """401, or for a browser back to the form; never a cookie, and never what was typed."""
        wrong = guarded.client().post("/login", json={"key": "wrong-key-typed"})
        assert problem(wrong) == (401, "unauthorized")
        page = guarded.client().post("/login", data={"key": "wrong-key-typed"}, headers={"accept": "text/html"})
        assert (page.status_code, page.headers["location"]) == (303, "/login?failed=1")
        for answer in (wrong, page):
            assert "set-cookie" not in answer.headers
            assert "wrong-key-typed" not in answer.text + str(answer.headers)

    @pytest.mark.parametrize("body", [b"[]", b"{", b'{"key":1}', b"\xff\xfe=1", b"a=1&" * 100, b"x" * 5000])
    def test_a_login_that_is_none_is_refused(self, tmp_path: Path, body: bytes) -> None:
        """What cannot be read is 400 or 413, what has no key 401."""
        with Site(tmp_path, keys=True) as site:
            for kind in ("application/json", "application/x-www-form-urlencoded"):
                answer = site.client().post("/login", content=body, headers={"content-type": kind})
                assert problem(answer)[0] in {400, 401, 413}

    def test_forged_ended_and_foreign_sessions_are_none(self) -> None:
        """A session is good for its owner until it ends, while its key is there; nothing else is."""
        keys = ApiKeys(list(KEYS))
        one, two = keys.owner_of(KEYS[0]), keys.owner_of(KEYS[1])
        assert one is not None
        assert two is not None
        session = keys.session(one, 1000)
        assert keys.owner_of_session(session, 999) == one
        assert keys.owner_of_session(session, 1000) is None
        assert ApiKeys([KEYS[0]]).owner_of_session(session, 0) == one
        assert ApiKeys([KEYS[1]]).owner_of_session(session, 0) is None
        signature = session.rpartition(".")[2]
        for forged in (f"{two}.1000.{signature}", f"{one}.9999.{signature}", f"{one}.1000.", f"{one}.x.{signature}",
                       "", ".", "..", f"{session}x", "é" * 10):  # fmt: skip
            assert keys.owner_of_session(forged, 0) is None

    @pytest.mark.parametrize("target", ["//evil.example", "https://evil.example", r"/\evil.example", "/a\nb", "", "x"])
    def test_a_login_leads_nowhere_else(self, target: str) -> None:
        """Only paths of the service are gone to after a login."""
        assert local_path(target) == "/"
        assert local_path("/tasks/t_1?x=1") == "/tasks/t_1?x=1"


class TestOtherSites:
    """A page of another site cannot make a browser do anything here."""

    def test_with_a_session_the_request_must_say_where_it_comes_from(self, guarded: Site) -> None:
        """Unsafe methods with a cookie need Sec-Fetch-Site or an Origin of this service; a GET does not."""
        browser = guarded.client()
        browser.post("/login", json={"key": KEYS[0]})
        task_id = guarded.finished()
        host = f"127.0.0.1:{guarded.port}"
        refused: list[dict[str, str]] = [
            {}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}, {"Origin": "https://evil.example"},
            {"Origin": "null"}, {"Origin": f"http://127.0.0.1:{guarded.port + 1}"},
            {"Sec-Fetch-Site": "cross-site", "Origin": f"http://{host}"},
        ]  # fmt: skip
        for headers in refused:
            for method, path in (
                ("DELETE", f"/v1/tasks/{task_id}"),
                ("POST", "/upload"),
                ("POST", f"/v1/tasks/{task_id}/retry"),
                ("POST", "/logout"),
            ):
                assert problem(browser.request(method, path, headers=headers)) == (403, "cross_site"), headers
        for headers in ({"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}, {"Origin": f"http://{host}"}):
            assert browser.post(f"/v1/tasks/{task_id}/cancel", headers=headers).status_code == 200

    def test_without_keys_other_sites_are_refused_and_programs_are_not(self, site: Site) -> None:
        """Where there is no login, a form of another site is all it would take; curl says nothing and may."""
        files = {"files": ("a.pdf", pdfs.text_pdf())}
        for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Origin": "https://evil.example"}, {"Origin": "null"}):
            assert problem(site.http.post("/upload", files=files, headers=headers)) == (403, "cross_site")
        assert site.http.post("/upload", files=files).status_code == 202

    def test_no_get_changes_anything(self, guarded: Site, operations: list[tuple[str, str]]) -> None:
        """After a GET of every path a task is as it was."""
        task_id = guarded.finished()
        before = guarded.status(task_id)
        for path in {path for _, path in operations}:
            guarded.http.get(filled(path, task_id, before["batch_id"]))
        assert guarded.status(task_id) == before

    @pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "[::2]", ""])
    def test_a_host_name_that_is_not_ours_is_refused(self, site: Site, host: str) -> None:
        """A name that someone points at this machine gets nothing, on whatever path but those of health checks."""
        for path in ("/v1/tasks", "/docs", "/", "/login", "/static/js/docs.js"):
            assert problem(site.http.get(path, headers={"Host": host})) == (400, "invalid_host")
        assert site.http.get("/healthz", headers={"Host": host}).status_code == 200

    def test_our_own_host_names_are_answered(self, tmp_path: Path) -> None:
        """Loopback in its forms, with and without port, and the names that are allowed."""
        with Site(tmp_path, allowed_hosts="ocr.example") as site:
            for host in ("localhost", "127.0.0.1:80", "[::1]:8000", "OCR.example", "ocr.example:443"):
                assert site.http.get("/healthz", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (("127.0.0.1", 1), 200), (("127.8.8.8", 1), 200), (("::1", 1), 200), (("::ffff:127.0.0.1", 1), 200),
        (None, 200), (("192.0.2.7", 1), 403), (("::ffff:192.0.2.7", 1), 403), (("2001:db8::7", 1), 403),
        (("elsewhere", 1), 403),
    ],
)  # fmt: skip
def test_without_keys_only_this_machine_is_answered(site: Site, client: tuple[str, int] | None, status: int) -> None:
    """Wherever the server in front listens, and whatever host name is said; probes are answered to all."""

    async def asked(path: str) -> httpx.Response:
        transport = httpx.ASGITransport(site.app, client=client)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as http:
            return await http.get(path)

    answer = site.run(asked("/v1/tasks"))
    assert answer.status_code == status
    assert status == 200 or problem(answer) == (403, "local_only")
    assert site.run(asked("/healthz")).status_code == 200


def test_every_answer_has_the_security_headers(site: Site) -> None:
    """Good ones, problems and files alike forbid scripts from elsewhere, framing and sniffing."""
    task_id = site.finished()
    for path in ("/healthz", "/nothing", f"/v1/tasks/{task_id}/pages/1/image", f"/v1/tasks/{task_id}/result", "/docs"):
        headers = site.http.get(path).headers
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert "access-control-allow-origin" not in headers


def test_a_caller_that_asks_too_much_is_slowed_and_others_are_not(tmp_path: Path) -> None:
    """429 with Retry-After for one key; the other key and /healthz are answered."""
    with Site(tmp_path, keys=True, requests_per_second=1) as site:
        answers = [site.http.get("/v1/tasks") for _ in range(60)]
        refused = [answer for answer in answers if answer.status_code == 429]
        assert refused
        assert problem(refused[0]) == (429, "rate_limited")
        assert int(refused[0].headers["retry-after"]) >= 1
        assert site.client(KEYS[1]).get("/v1/tasks").status_code == 200
        assert all(site.http.get("/healthz").status_code == 200 for _ in range(60))


def test_guessing_keys_is_slowed(tmp_path: Path) -> None:
    """After a burst of wrong keys the guesser is told to wait, and the right key still works."""
    with Site(tmp_path, keys=True, requests_per_second=1) as site:
        guesser = site.client("wrong")
        codes = {problem(guesser.get("/v1/tasks"))[1] for _ in range(60)}
        assert codes == {"unauthorized", "rate_limited"}
        assert site.http.get("/v1/tasks").status_code == 200


def test_logs_have_ids_and_nothing_that_was_given(guarded: Site, caplog: pytest.LogCaptureFixture) -> None:
    """A request's line has its id, route and task; no key, no name of a file, no query, no text."""
    caplog.set_level(logging.INFO, "one_ocr_ray.service")
    files = {"files": ("c4nary-name.pdf", pdfs.text_pdf(1, "c4nary-text"))}
    task_id = guarded.http.post("/upload", files=files, headers={"Idempotency-Key": "c4nary-key"}).json()["task_ids"][0]
    guarded.http.get(f"/task_status/{task_id}?wait=0&c4nary=query", headers={"X-Request-Id": "my-request-7"})
    guarded.http.get("/c4nary-path", headers={"X-Request-Id": "c4nary\tid"})
    lines = [record.fields for record in caplog.records if record.name == "one_ocr_ray.service"]
    mine = next(line for line in lines if line["request_id"] == "my-request-7")
    assert (mine["route"], mine["task_id"], mine["status"]) == ("/task_status/{task_id}", task_id, 200)
    everything = str(lines) + caplog.text
    assert "c4nary" not in everything
    assert KEYS[0] not in everything


@pytest.mark.parametrize("text", ["", "# only a comment\n\n", "short\n", None])
def test_a_key_file_that_is_no_good_is_one_sentence(tmp_path: Path, text: str | None) -> None:
    """Missing, empty, or with a key that can be guessed: the service does not start, and the key is not repeated."""
    path = tmp_path / "keys"
    if text is not None:
        path.write_text(text)
    with pytest.raises(UsageError) as error:
        load_keys(path)
    assert str(error.value).endswith(".")
    assert "short\n" not in str(error.value)


def test_keys_hide_themselves() -> None:
    """Neither keys nor their hashes are in a repr."""
    keys = ApiKeys(list(KEYS))
    assert KEYS[0] not in repr(vars(keys))
    assert "digest" not in repr(vars(keys))
