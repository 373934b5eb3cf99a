"""A real kube-apiserver with its etcd on loopback, and objects sent to it as a dry run.

    with ApiServer.start(folder) as server:
        problems = server.dry_run(kube_facts.parse(text))

It takes three seconds to start. No kubelet, no controller and no webhook runs: what is judged is what the API server
itself decides, that is names, types, unknown fields, bounds, rules of the definitions, and built-in admission. Custom
definitions of test/oracles/crds/ are installed when the first object of their group comes. The server belongs to the
one thread that started it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse
from collections.abc import Iterable, Iterator

from lib import kube_facts
from lib.kube_facts import Kind, title
from lib.wait import until

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
READY_BOUND_S = 180.0
ANSWER_BOUND_S = 60.0
MANAGER = "oracle"
APPLY = "application/apply-patch+yaml"
# Others are judged by them, so they have to be there and not only to be right.
REAL_FIRST = ("Namespace", "CustomResourceDefinition", "PriorityClass", "RuntimeClass")


def folder_of_tools() -> pathlib.Path:
    return pathlib.Path(os.environ.get("TIDEGATE_ORACLES", ROOT / ".tidegate/oracles"))


def unavailable() -> str | None:
    """Why no API server can be started here, or None."""
    for program in ("etcd", "kube-apiserver"):
        if not (folder_of_tools() / "bin" / program).exists():
            return f"{program} is not in {folder_of_tools()}/bin; tools/oracles.sh kubernetes builds it"
    if not shutil.which("openssl"):
        return "openssl is not in PATH"
    return None


@dataclasses.dataclass(frozen=True)
class Refusal:
    """What the API server says about one object. `warning`: it would take it, and says this."""

    where: str
    message: str
    status: int
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.where}: {'warning: ' if self.warning else ''}{self.message}"


@dataclasses.dataclass(frozen=True)
class Answer:
    status: int
    body: dict
    warnings: tuple[str, ...]


def free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for s in sockets:
            s.bind(("127.0.0.1", 0))
        return [s.getsockname()[1] for s in sockets]


class ApiServer:
    """Made by start(). `url` and `token` are those of an administrator."""

    def __init__(self, folder: pathlib.Path, port: int, token: str, processes: list[subprocess.Popen]):
        self.folder = folder
        self.url = f"https://127.0.0.1:{port}"
        self.token = token
        self._port = port
        self._processes = processes
        self._connection: http.client.HTTPSConnection | None = None
        self._groups: set[str] = set()
        self._namespaces: set[str] = {"default", "kube-system", "kube-public", "kube-node-lease"}
        self._made: dict[tuple[str, str], Kind] = {}

    # --- life ---------------------------------------------------------------------------------------------------------

    @classmethod
    @contextlib.contextmanager
    def start(cls, folder: pathlib.Path | None = None, extra: Iterable[str] = ()) -> Iterator[ApiServer]:
        """`extra` are more flags of kube-apiserver. Data and logs lie in `folder`, else in one that is removed."""
        reason = unavailable()
        if reason:
            raise RuntimeError(reason)
        own = folder is None
        folder = folder or pathlib.Path(tempfile.mkdtemp(prefix="tg-kube-"))
        folder.mkdir(parents=True, exist_ok=True)
        server = None
        try:
            server = cls._start_once(folder, list(extra))
            yield server
        finally:
            if server is not None:
                server.stop()
            if own:
                shutil.rmtree(folder, ignore_errors=True)

    @classmethod
    def _start_once(cls, folder: pathlib.Path, extra: list[str]) -> ApiServer:
        client, peer, port = free_ports(3)
        token = secrets.token_hex(16)
        (folder / "tokens.csv").write_text(f"{token},admin,1,system:masters\n")
        key = folder / "accounts.key"
        subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key],
            check=True,
            capture_output=True,
        )
        processes: list[subprocess.Popen] = []
        server = cls(folder, port, token, processes)
        try:
            processes.append(_launch(folder, "etcd", etcd_flags(folder, client, peer)))
            processes.append(_launch(folder, "kube-apiserver", apiserver_flags(folder, client, port, key) + extra))
            until("the API server is ready", server._ready, READY_BOUND_S, 0.05)
        except BaseException:
            server.stop()
            raise
        return server

    def _ready(self) -> bool:
        for process, name in zip(self._processes, ("etcd", "kube-apiserver"), strict=True):
            if process.poll() is not None:
                log = (self.folder / f"{name}.log").read_text(errors="replace")[-2000:]
                raise RuntimeError(f"{name} ended with status {process.returncode}:\n{log}")
        if not (self.folder / "tls/apiserver.crt").exists():
            return False
        try:
            return self.request("GET", "/readyz").status == 200
        except (OSError, http.client.HTTPException):
            self._drop()
            return False

    def stop(self) -> None:
        self._drop()
        for process in reversed(self._processes):  # etcd last
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                try:
                    process.wait(15)
                except subprocess.TimeoutExpired:
                    process.kill()
                    process.wait()

    # --- requests -----------------------------------------------------------------------------------------------------

    def _drop(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _connect(self) -> http.client.HTTPSConnection:
        if self._connection is None:
            context = ssl.create_default_context(cafile=str(self.folder / "tls/apiserver.crt"))
            self._connection = http.client.HTTPSConnection(
                "127.0.0.1", self._port, context=context, timeout=ANSWER_BOUND_S
            )
            self._connection.connect()
            self._connection.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._connection

    def request(
        self, method: str, path: str, body: dict | None = None, content_type: str = "application/json"
    ) -> Answer:
        """One exchange on the connection that stays. The body of the answer is {} when it is not JSON."""
        reused = self._connection is not None
        try:
            return self._exchange(method, path, body, content_type)
        except (OSError, http.client.HTTPException):
            # The server ends connections that were quiet for long.
            self._drop()
            if not reused:
                raise
            return self._exchange(method, path, body, content_type)

    def _exchange(self, method: str, path: str, body: dict | None, content_type: str) -> Answer:
        connection = self._connect()
        headers = {"Authorization": f"Bearer {self.token}", "Accept": "application/json"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = content_type
        connection.request(method, path, data, headers)
        response = connection.getresponse()
        text = response.read()
        warnings = tuple(_warning_text(w) for w in response.headers.get_all("Warning") or ())
        try:
            answer = json.loads(text)
        except ValueError:
            answer = {"message": text.decode(errors="replace")}
        return Answer(response.status, answer if isinstance(answer, dict) else {}, warnings)

    def apply(self, kind: Kind, found: dict, dry: bool) -> Answer:
        """Server-side apply with strict fields. An object with generateName only is created."""
        metadata = found.get("metadata") or {}
        namespace = metadata.get("namespace") or "default"
        query = {"fieldManager": MANAGER, "fieldValidation": "Strict"}
        if dry:
            query["dryRun"] = "All"
        name = metadata.get("name")
        if not name:
            return self.request("POST", f"{kind.path(namespace)}?{urllib.parse.urlencode(query)}", found)
        query["force"] = "true"
        path = kind.path(namespace, urllib.parse.quote(str(name), safe=""))
        return self.request("PATCH", f"{path}?{urllib.parse.urlencode(query)}", found, APPLY)

    # --- definitions --------------------------------------------------------------------------------------------------

    def install(self, definitions: Iterable[dict]) -> list[Refusal]:
        """Makes custom definitions and waits until their kinds are served."""
        definition_kind = kube_facts.kind_of("apiextensions.k8s.io/v1", "CustomResourceDefinition")
        assert definition_kind
        refused, waiting = [], []
        for definition in definitions:
            # Making is three times as quick as applying, and an own definition is made once.
            answer = self.request("POST", f"{definition_kind.path()}?fieldValidation=Strict", definition)
            if answer.status == 409:
                answer = self.apply(definition_kind, definition, dry=False)
            if answer.status >= 300:
                refused.append(Refusal(title(definition), answer.body.get("message", "?"), answer.status))
                continue
            waiting.append(definition["metadata"]["name"])
            self._made.update(kube_facts.kinds_of(definition))
        for name in waiting:
            until(f"{name} is served", lambda n=name: self._established(definition_kind.path(name=n)), 30.0, 0.02)
        return refused

    def _established(self, path: str) -> bool:
        conditions = (self.request("GET", path).body.get("status") or {}).get("conditions") or []
        return any(c["type"] == "Established" and c["status"] == "True" for c in conditions)

    def _need_group(self, group: str) -> None:
        if group in self._groups or group not in kube_facts.custom_groups():
            return
        self._groups.add(group)
        refused = self.install(kube_facts.definitions(group))
        if refused:
            raise RuntimeError(f"own definitions of {group} are refused: {refused}")

    def kind_of(self, found: dict) -> Kind | None:
        """Installs the definitions of its group when they are known and not there yet."""
        api_version, kind = str(found.get("apiVersion", "")), str(found.get("kind", ""))
        self._need_group(kube_facts.group_of(api_version))
        return self._made.get((api_version, kind)) or kube_facts.kind_of(api_version, kind)

    @contextlib.contextmanager
    def holding(self, objects: Iterable[dict]) -> Iterator[None]:
        """Makes objects without a namespace for real, and takes them away again."""
        made: list[str] = []
        try:
            for found in objects:
                refused = [r for r in self._try(found, dry=False) if not r.warning]
                if refused:
                    raise RuntimeError(f"refused: {refused}")
                kind = self.kind_of(found)
                assert kind and not kind.namespaced
                made.append(kind.path(name=found["metadata"]["name"]))
            yield
        finally:
            for path in reversed(made):
                self.request("DELETE", path)

    # --- the dry run --------------------------------------------------------------------------------------------------

    def dry_run(
        self, objects: Iterable[dict], namespaces: Iterable[str] | None = None, pods: bool = False
    ) -> list[Refusal]:
        """Sends every object as a server-side apply, dryRun=All, fieldValidation=Strict. [] when all are taken.

        Namespaces, definitions, priority and runtime classes among the objects are made for real first, and for each
        ConstraintTemplate the kind of its constraints. A namespace that is used and not among the objects is a refusal,
        unless `namespaces` names it; with None (the default) it is made without a word. With `pods`, each pod template
        is sent as the Pod that its controller would make, so that what the namespace enforces is judged.
        """
        everything = list(objects)
        objects = [o for o in everything if isinstance(o, dict)]
        refused = [Refusal(title(o), "is no object", 0) for o in everything if not isinstance(o, dict)]
        for kind in REAL_FIRST:
            refused += self._make_real([o for o in objects if o.get("kind") == kind])
        refused += self._make_constraint_kinds(objects)
        refused += self._make_namespaces(objects, namespaces)
        for found in objects:
            if found.get("kind") not in REAL_FIRST:
                refused += self._try(found)
        if pods:
            refused += [r for pod in kube_facts.pods_of(objects) for r in self._try(pod)]
        return refused

    def _make_real(self, objects: list[dict]) -> list[Refusal]:
        refused: list[Refusal] = []
        for found in objects:
            if found["kind"] == "CustomResourceDefinition":
                refused += self.install([found])
                continue
            refusals = self._try(found, dry=False)
            refused += refusals
            if found["kind"] == "Namespace" and not any(not r.warning for r in refusals):
                self._namespaces.add(found["metadata"]["name"])
        return refused

    def _make_constraint_kinds(self, objects: list[dict]) -> list[Refusal]:
        refused: list[Refusal] = []
        for template in objects:
            if template.get("kind") != "ConstraintTemplate":
                continue
            try:
                definition = kube_facts.constraint_definition(template)
            except (KeyError, TypeError, AttributeError) as e:
                refused.append(Refusal(title(template), f"names no constraint kind: {e!r}", 0))
                continue
            refused += [
                Refusal(title(template), f"its parameters: {r.message}", r.status) for r in self.install([definition])
            ]
        return refused

    def _make_namespaces(self, objects: list[dict], allowed: Iterable[str] | None) -> list[Refusal]:
        refused = []
        known = None if allowed is None else set(allowed)
        for found in objects:
            name = (found.get("metadata") or {}).get("namespace")
            if not name or name in self._namespaces:
                continue
            if known is not None and name not in known:
                refused.append(Refusal(title(found), f"nothing makes its namespace {name}", 0))
            made = self._try({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}, dry=False)
            refused += made
            self._namespaces.add(name)
        return refused

    def _try(self, found: dict, dry: bool = True) -> list[Refusal]:
        kind = self.kind_of(found)
        where = title(found)
        if kind is None:
            return [Refusal(where, "neither Kubernetes nor a known definition has this kind", 404)]
        if not kind.namespaced and (found.get("metadata") or {}).get("namespace"):
            return [Refusal(where, f"{kind.kind} belongs to no namespace, but one is given", 0)]
        answer = self._apply_when_served(kind, found, dry)
        refused = [Refusal(where, w, answer.status, warning=True) for w in answer.warnings]
        if answer.status >= 300:
            refused.append(Refusal(where, answer.body.get("message", "?"), answer.status))
        return refused

    def _apply_when_served(self, kind: Kind, found: dict, dry: bool) -> Answer:
        """A kind just made answers 404 for an instant; its status says Established a little too early."""
        answer = self.apply(kind, found, dry)
        end = time.monotonic() + 10.0
        while answer.status == 404 and "page not found" in str(answer.body.get("message")) and time.monotonic() < end:
            time.sleep(0.05)
            answer = self.apply(kind, found, dry)
        return answer


def etcd_flags(folder: pathlib.Path, client: int, peer: int) -> list[str]:
    """Nothing is kept, so nothing is forced to disk."""
    at, beside = f"http://127.0.0.1:{client}", f"http://127.0.0.1:{peer}"
    return [
        f"--data-dir={folder}/etcd",
        f"--listen-client-urls={at}",
        f"--advertise-client-urls={at}",
        f"--listen-peer-urls={beside}",
        f"--initial-advertise-peer-urls={beside}",
        f"--initial-cluster=default={beside}",
        "--unsafe-no-fsync",
        "--log-level=warn",
    ]


def apiserver_flags(folder: pathlib.Path, etcd: int, port: int, key: pathlib.Path) -> list[str]:
    """ServiceAccount admission is off: no controller makes the default accounts."""
    return [
        f"--etcd-servers=http://127.0.0.1:{etcd}",
        "--bind-address=127.0.0.1",
        "--advertise-address=127.0.0.1",
        f"--secure-port={port}",
        f"--cert-dir={folder}/tls",
        f"--token-auth-file={folder}/tokens.csv",
        "--authorization-mode=RBAC",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        "--service-cluster-ip-range=10.96.0.0/16",
        "--disable-admission-plugins=ServiceAccount",
        "--allow-privileged=true",
    ]


def _launch(folder: pathlib.Path, program: str, flags: list[str]) -> subprocess.Popen:
    """It ends with this process, however that ends."""
    command = ["setpriv", "--pdeathsig", "KILL", str(folder_of_tools() / "bin" / program), *flags]
    with (folder / f"{program}.log").open("wb") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=folder)


def _warning_text(header: str) -> str:
    """The text of `299 - "text"`."""
    start, end = header.find('"'), header.rfind('"')
    return header[start + 1 : end].replace('\\"', '"') if 0 <= start < end else header
