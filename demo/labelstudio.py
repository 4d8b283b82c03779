"""A real Label Studio server on this machine, started and stopped by us."""

from __future__ import annotations

import json
import os
import re
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType

import httpx

from demo.background import Background, free_port, is_taken
from demo.installation import DemoError, Installation, Say, environment

USERNAME = "demo@equipoise.example"
START_SECONDS = 180.0


@dataclass(frozen=True)
class Credentials:
    """One user of the server. `token` is a legacy token, `pat` a personal access token."""

    username: str
    password: str
    token: str
    pat: str = ""

    @classmethod
    def random(cls, username: str) -> Credentials:
        """Return new credentials that nobody can guess."""
        return cls(username, secrets.token_urlsafe(12), secrets.token_hex(20))


class LabelStudio:
    """A Label Studio server with its own data folder, on a loopback port.

    Attributes:
        folder: its data; used again, projects and users are still there.
        media: files that it may serve, below `<media>/<sub-folder>` (see `serve_folder`).
        port: the port it was given; 0 before `start` means "any free one".
        credentials: the administrator's, kept in `<folder>/credentials.json` (mode 0600).
        extra: variables of its environment beside ours.
    """

    def __init__(
        self,
        folder: Path,
        *,
        media: Path | None = None,
        port: int = 0,
        installation: Installation | None = None,
        extra: Mapping[str, str] | None = None,
        say: Say = print,
    ) -> None:
        self.folder = folder.resolve()
        self.media = (media or folder / "served").resolve()
        self.port = port
        self.extra = dict(extra or {})
        self._installation = installation or Installation(say=say)
        self._say = say
        self._server = Background("Label Studio", self.folder / "label-studio.log")
        self.credentials = Credentials(USERNAME, "", "")

    @property
    def url(self) -> str:
        """The server's address."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def program(self) -> Path:
        """The label-studio program, installed on the first call."""
        return self._installation.program()

    @property
    def api_key(self) -> str:
        """The administrator's legacy token."""
        return self.credentials.token

    def start(self) -> LabelStudio:
        """Start the server and return when it answers.

        Raises:
            DemoError: it could not be installed, ended at once or did not answer in time.
        """
        self.prepare()
        self.port = self.port or free_port()
        if is_taken(self.port):
            # Label Studio itself would silently move to another port.
            raise DemoError(f"Port {self.port} is taken; choose another one.")
        command = [str(self.program), "start", "--no-browser"]
        command += ["--port", str(self.port), "--internal-host", "127.0.0.1"]
        self._server.start(command, self._environment(self.credentials))
        try:
            self._server.wait_until_up(f"{self.url}/health", START_SECONDS, self._say)
            self._check_identity()
        except BaseException:
            self.stop()
            raise
        return self

    def prepare(self) -> None:
        """Make what the server keeps: its database, media folder, user and signing key."""
        self._installation.new_database(self.folder)
        self.media.mkdir(parents=True, exist_ok=True)
        self.load_credentials()
        self._keep_secret_key()

    def stop(self) -> None:
        """Stop the server and everything it started; does nothing where it does not run."""
        self._server.stop()

    @property
    def runs(self) -> bool:
        """Whether the server is alive."""
        return self._server.runs

    def __enter__(self) -> LabelStudio:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def load_credentials(self) -> Credentials:
        """Return the administrator's credentials, made at random on the first call."""
        path = self.folder / "credentials.json"
        if path.exists():
            self.credentials = Credentials(**json.loads(path.read_text()))
        else:
            self.credentials = Credentials.random(USERNAME)
            self._keep(self.credentials)
        return self.credentials

    def personal_access_token(self) -> str:
        """Return the administrator's personal access token, made on the first call.

        Label Studio gives one such token per user and shows it once, so it is kept.
        """
        if not self.credentials.pat:
            pat = create_personal_access_token(self.url, self.credentials)
            self.credentials = Credentials(**{**asdict(self.credentials), "pat": pat})
            self._keep(self.credentials)
        return self.credentials.pat

    def add_user(self, username: str) -> Credentials:
        """Add an annotator to the same organization and return the credentials."""
        user = Credentials.random(username)
        done = subprocess.run(
            [str(self.program), "init", "-q"],
            env=self._environment(user),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise DemoError(f"Adding user {username} failed:\n{done.stderr[-2000:]}")
        return user

    def client(self, token: str | None = None) -> httpx.Client:
        """Return an HTTP client of this server, as the administrator or the owner of `token`."""
        headers = {"Authorization": f"Token {token or self.credentials.token}"}
        return httpx.Client(base_url=self.url, headers=headers, timeout=120, trust_env=False)

    def _environment(self, user: Credentials) -> dict[str, str]:
        extra = {
            "LABEL_STUDIO_USERNAME": user.username,
            "LABEL_STUDIO_PASSWORD": user.password,
            "LABEL_STUDIO_USER_TOKEN": user.token,
            "LABEL_STUDIO_ENABLE_LEGACY_API_TOKEN": "true",
            "USE_DEFAULT_BANNED_SUBNETS": "false",  # else a loopback ML backend is refused
            "LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED": "true",
            "LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT": str(self.media),
            **self.extra,
        }
        return environment(self.folder, extra)

    def _keep(self, credentials: Credentials) -> None:
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = self.folder / "credentials.json"
        beside = path.with_suffix(".new")
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as file:
            json.dump(asdict(credentials), file)
        os.replace(beside, path)

    def _keep_secret_key(self) -> None:
        """Write the key that signs its tokens, unless there is one.

        One of fifty keys that Label Studio makes itself begins with `$`, which its reader of this
        file takes for a variable's name: after a restart every token is refused.
        """
        path = self.folder / ".env"
        if not path.exists():
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
                file.write(f"SECRET_KEY={secrets.token_urlsafe(48)}\n")

    def _check_identity(self) -> None:
        """Make sure that the answering server is ours: a taken port makes it move to another."""
        with self.client() as client:
            answer = client.get("/api/current-user/whoami")
        ours = answer.is_success and answer.json().get("email") == self.credentials.username
        if not ours:
            raise DemoError(
                f"Another server answers on {self.url}, or {self.folder} holds a database whose "
                f"user is not the one in credentials.json; choose another port or remove the "
                f"folder. (HTTP {answer.status_code})\n{self._server.last_words()}"
            )


def create_personal_access_token(url: str, user: Credentials) -> str:
    """Log in as a browser does and ask for a personal access token.

    Raises:
        DemoError: the login was refused or the user has such a token already.
    """
    with httpx.Client(base_url=url, timeout=30, trust_env=False) as client:
        page = client.get("/user/login/")
        found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page.text)
        form = {"email": user.username, "password": user.password}
        form["csrfmiddlewaretoken"] = found.group(1) if found else ""
        referer = {"Referer": f"{url}/user/login/"}
        if client.post("/user/login/", data=form, headers=referer).status_code != 302:
            raise DemoError(f"{url} refused the login of {user.username}.")
        headers = {"Referer": url, "X-CSRFToken": client.cookies.get("csrftoken") or ""}
        answer = client.post("/api/token/", headers=headers)
        if answer.status_code == 409:
            raise DemoError(f"{user.username} has a personal access token already.")
        if answer.status_code != 201:
            raise DemoError(f"No personal access token: HTTP {answer.status_code}.")
        token: str = answer.json()["token"]
        return token
