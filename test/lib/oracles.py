"""The tools that will consume what is rendered, asked for their judgement.

Each oracle has one contract:
    available() -> str | None          why it cannot be asked here, or None
    check(what, ...) -> list[Problem]  what it finds wrong; [] when it is content
`what` is a pathlib.Path (a file, or a folder where that is said) or the text of a file. A test calls need(oracle, ...)
first: a missing tool makes it "not run", never passed. tools/oracles.sh builds the tools, tools/packages.txt (group
`oracles`) names Debian's.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import http.client
import json
import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator

import pytest
import yaml
from lib import kube, kube_facts
from lib.wait import until

BOUND_S = 180.0
KUBERNETES = "1.35.0"
ENGINE_MODULE = pathlib.Path("/usr/lib/nginx/modules/ngx_http_modsecurity_module.so")


@dataclasses.dataclass(frozen=True)
class Problem:
    """`warning`: the tool advises, and does not refuse."""

    oracle: str
    where: str
    message: str
    warning: bool = False

    def __str__(self) -> str:
        return f"{self.oracle}: {self.where}: {'warning: ' if self.warning else ''}{self.message}"


def need(*oracles) -> None:
    """Ends the test as not run when one of these cannot be asked."""
    for oracle in oracles:
        reason = oracle.available()
        if reason:
            pytest.skip(f"not run: {oracle.name}: {reason}")


def errors(problems: Iterable[Problem]) -> list[str]:
    """Those that are no warnings, as texts: an empty list in an assertion, or a readable one."""
    return [str(p) for p in problems if not p.warning]


# --- programs --------------------------------------------------------------------------------------------------------


def program(name: str) -> str | None:
    own = kube.folder_of_tools() / "bin" / name
    return str(own) if own.exists() else shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextlib.contextmanager
def as_file(what: pathlib.Path | str, name: str) -> Iterator[pathlib.Path]:
    """A path stays; a text becomes a file of that name in a folder of its own."""
    if isinstance(what, pathlib.Path):
        yield what
        return
    with tempfile.TemporaryDirectory(prefix="tg-oracle-") as folder:
        path = pathlib.Path(folder) / name
        path.write_text(what)
        yield path


def run(*command: object, cwd: pathlib.Path | None = None, env: dict | None = None) -> subprocess.CompletedProcess:
    return subprocess.run(
        [str(c) for c in command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=BOUND_S,
        cwd=cwd,
        env={**os.environ, "LC_ALL": "C.UTF-8", **(env or {})},
    )


class Oracle:
    """One program. A subclass says how it is asked in judge()."""

    name = ""
    programs: tuple[str, ...] = ()
    hint = "tools/oracles.sh {} builds it"
    file_name = "file.yaml"

    def available(self) -> str | None:
        for wanted in self.programs:
            if not program(wanted):
                return f"{wanted} is not here; {self.hint.format(wanted)}"
        return None

    def check(self, what: pathlib.Path | str, **options) -> list[Problem]:
        with as_file(what, self.file_name) as path:
            return self.judge(path, **options)

    def check_all(self, paths: Iterable[pathlib.Path], **options) -> list[Problem]:
        """Many files: one start of the program for all where it takes several."""
        return [problem for path in paths for problem in self.check(path, **options)]

    def judge(self, path: pathlib.Path, **options) -> list[Problem]:
        raise NotImplementedError

    def problem(self, where: object, message: str, warning: bool = False) -> Problem:
        return Problem(self.name, str(where), message.strip(), warning)

    def by_status(self, path: object, ended: subprocess.CompletedProcess) -> list[Problem]:
        """For programs whose text is for people: one problem with all of it."""
        if ended.returncode == 0:
            return []
        return [self.problem(path, (ended.stderr + ended.stdout) or f"status {ended.returncode}")]


class Command(Oracle):
    """A program that is asked by one command line and answers by its status."""

    def __init__(
        self, name: str, command: Callable[[pathlib.Path], list], hint: str = "", file_name: str = "file.yaml"
    ):
        self.name, self.command, self.file_name = name, command, file_name
        self.programs = (command(pathlib.Path("x"))[0],)
        self.hint = hint or Oracle.hint

    def judge(self, path: pathlib.Path, **options) -> list[Problem]:
        first, *rest = self.command(path)
        return self.by_status(path, run(program(first), *rest))


DEBIAN = "./dev setup oracles installs it"

haproxy = Command("haproxy", lambda p: ["haproxy", "-c", "-f", p], DEBIAN, "haproxy.cfg")
kubeadm = Command(
    "kubeadm", lambda p: ["kubeadm", "config", "validate", "--config", p], "tools/oracles.sh kubernetes builds it"
)
kustomize = Command("kustomize", lambda p: ["kubectl", "kustomize", p], "tools/oracles.sh kubernetes builds it")
promtool_tests = Command("promtool test rules", lambda p: ["promtool", "test", "rules", p], DEBIAN)
shellcheck = Command("shellcheck", lambda p: ["shellcheck", "--severity=style", p], DEBIAN, "script.sh")


# --- Kubernetes objects -----------------------------------------------------------------------------------------------


class DryRun(Oracle):
    """The API server of the fixture `api_server`; takes objects, a text, a file, or a folder of manifests."""

    name = "kube-apiserver"

    def available(self) -> str | None:
        return kube.unavailable()

    def check(self, what, *, server: kube.ApiServer, **options) -> list[Problem]:
        refused = server.dry_run(objects_of(what), **options)
        return [self.problem(r.where, r.message, r.warning) for r in refused]


def objects_of(what: pathlib.Path | str | Iterable[dict]) -> list[dict]:
    """Of a folder: those of its .yaml, .yml and .json files that are manifests (an apiVersion and a kind), and not
    the file of a program (kube_facts.FILE_GROUPS)."""
    if isinstance(what, str):
        return kube_facts.parse(what)
    if not isinstance(what, pathlib.Path):
        return list(kube_facts.flatten(what))
    if what.is_file():
        return kube_facts.parse(what.read_text())
    found = []
    for path in sorted(p for p in what.rglob("*") if p.suffix in (".yaml", ".yml", ".json")):
        objects = kube_facts.parse(path.read_text())
        found += [o for o in objects if isinstance(o, dict) and "apiVersion" in o and "kind" in o]
    return [o for o in found if kube_facts.group_of(str(o["apiVersion"])) not in kube_facts.FILE_GROUPS]


class Kubeconform(Oracle):
    """Strict JSON schemas without a server, built-in and custom kinds. A kind without a schema is a problem."""

    name = "kubeconform"
    programs = ("kubeconform",)

    def judge(self, path: pathlib.Path, skip: Iterable[str] = ()) -> list[Problem]:
        return self.check_all([path], skip=skip)

    def check_all(self, paths: Iterable[pathlib.Path], skip: Iterable[str] = ()) -> list[Problem]:
        paths = list(paths)
        location = f"{json_schemas()}/{{{{.Group}}}}/{{{{.ResourceKind}}}}_{{{{.ResourceAPIVersion}}}}.json"
        command = [program("kubeconform"), "-output", "json", "-schema-location", location]
        if skip:
            command += ["-skip", ",".join(skip)]
        ended = run(*command, *paths)
        try:
            resources = json.loads(ended.stdout)["resources"]
        except (ValueError, KeyError):
            return [self.problem(paths, ended.stderr or ended.stdout)]
        return [
            self.problem(f"{r['filename']} {r['version']} {r['kind']} {r['name']}", f"{r['msg']}".replace("\n", " "))
            for r in resources
            if r["status"] in ("statusInvalid", "statusError")
        ]


@functools.cache
def json_schemas() -> pathlib.Path:
    """The folder of schemas, written once for these facts. Core kinds lie in `v1`, as kubeconform names their group.

    Its name says of which facts, and it appears when it is whole: another run may have other facts, or the same idea.
    """
    facts = [*kube_facts.FACTS.iterdir(), *kube_facts.OWN.iterdir()]
    stamp = f"{max(int(p.stat().st_mtime) for p in facts)}-{sum(p.stat().st_size for p in facts)}"
    place = kube.folder_of_tools() / f"json-schemas-{stamp}"
    if place.exists():
        return place
    kube.folder_of_tools().mkdir(parents=True, exist_ok=True)
    half = pathlib.Path(tempfile.mkdtemp(prefix="json-schemas-", dir=kube.folder_of_tools()))
    kube_facts.write_json_schemas(half)
    try:
        half.rename(place)
    except OSError:  # somebody else was faster
        shutil.rmtree(half)
    for old in kube.folder_of_tools().glob("json-schemas-*"):
        if old != place and time.time() - old.stat().st_mtime > 86400:
            shutil.rmtree(old, ignore_errors=True)
    return place


class KubeScore(Oracle):
    """A file, or a folder of .yaml files. Critical findings are problems, the others warnings. `ignore` names checks,
    as kube-score calls them."""

    name = "kube-score"
    programs = ("kube-score",)
    CRITICAL = 1
    WARNING = 5

    def judge(self, path: pathlib.Path, ignore: Iterable[str] = ()) -> list[Problem]:
        flags = [f for name in ignore for f in ("--ignore-test", name)]
        files = sorted(path.rglob("*.yaml")) if path.is_dir() else [path]
        ended = run(program("kube-score"), "score", "--output-format", "json", *flags, *files)
        try:
            objects = json.loads(ended.stdout)
        except ValueError:
            return [self.problem(path, ended.stderr or ended.stdout)]
        found = []
        for judged in objects or []:
            for check in judged.get("checks") or []:
                if check["skipped"] or check["grade"] > self.WARNING:
                    continue
                for comment in check["comments"] or [{"path": "", "summary": "", "description": ""}]:
                    text = f"{check['check']['id']}: {comment['path']}: {comment['summary']}. {comment['description']}"
                    found.append(self.problem(judged["object_name"], text, check["grade"] > self.CRITICAL))
        return found


class GatorTest(Oracle):
    """Objects against the templates and constraints among them; several files or folders may be given."""

    name = "gator"
    programs = ("gator",)

    def judge(self, path: pathlib.Path, more: Iterable[pathlib.Path] = ()) -> list[Problem]:
        flags = [f"--filename={p}" for p in (path, *more)]
        ended = run(program("gator"), "test", "--output", "json", *flags)
        try:
            found = json.loads(ended.stdout or "[]") or []
        except ValueError:
            found = []
        if ended.returncode and not found:
            return [self.problem(path, ended.stderr or ended.stdout)]
        return [
            self.problem(
                kube_facts.title(r.get("violatingObject") or {}),
                f"{(r.get('constraint') or {}).get('kind')}: {r.get('msg')}",
                r.get("enforcementAction") != "deny",
            )
            for r in found
        ]


class KyvernoTest(Oracle):
    """A kyverno-test.yaml, or a folder with some: its own policies, objects and expected results."""

    name = "kyverno test"
    programs = ("kyverno",)
    FILE = "kyverno-test.yaml"

    def judge(self, path: pathlib.Path) -> list[Problem]:
        folder = path.parent if path.is_file() else path
        ended = run(program("kyverno"), "test", "--remove-color", "--detailed-results", folder)
        if ended.returncode == 0 and "tests passed" not in ended.stdout:  # it found no test
            return [self.problem(path, ended.stdout or ended.stderr or "no test was run")]
        return self.by_status(path, ended)


gator_suite = Command("gator verify", lambda p: ["gator", "verify", p])


# --- monitoring ------------------------------------------------------------------------------------------------------


class PromtoolRules(Oracle):
    """A rules file (`groups:`), or PrometheusRule objects, of which each spec is one."""

    name = "promtool"
    programs = ("promtool",)
    hint = DEBIAN

    def judge(self, path: pathlib.Path) -> list[Problem]:
        found = []
        for i, rules in enumerate(rule_files(path.read_text())):
            with as_file(yaml.safe_dump(rules), f"rules-{i}.yaml") as file:
                found += self.by_status(
                    path, run(program("promtool"), "check", "rules", "--lint=all", "--lint-fatal", file)
                )
        return found


def rule_files(text: str) -> list[dict]:
    """The `groups:` documents of a text, those inside PrometheusRule objects included."""
    parsed = kube_facts.parse(text)
    return [
        o["spec"] if o.get("kind") == "PrometheusRule" else o
        for o in parsed
        if o.get("kind") in ("PrometheusRule", None)
    ]


class AmtoolConfig(Oracle):
    """The configuration of Alertmanager. Before 0.26 it knew no `url_file` of a webhook: an older amtool reads a copy
    in which an address stands there."""

    name = "amtool"
    programs = ("amtool",)
    hint = DEBIAN

    @staticmethod
    @functools.cache
    def knows_url_file() -> bool:
        text = run(program("amtool"), "--version").stdout
        found = re.search(r"version (\d+)\.(\d+)", text)
        return bool(found) and (int(found[1]), int(found[2])) >= (0, 26)

    @classmethod
    def readable(cls, path: pathlib.Path) -> str:
        text = path.read_text(encoding="utf-8")
        return text if cls.knows_url_file() else re.sub(r"\burl_file: \S+", "url: http://receiver.invalid/", text)

    def judge(self, path: pathlib.Path) -> list[Problem]:
        with as_file(self.readable(path), "alertmanager.yaml") as file:
            return self.by_status(path, run(program("amtool"), "check-config", file))


class AmtoolRoutes(Oracle):
    """Where an alert goes: check(config, cases=[({label: value}, [receiver, ...]), ...])."""

    name = "amtool routes"
    programs = ("amtool",)
    hint = DEBIAN

    def judge(self, path: pathlib.Path, cases: Iterable[tuple[dict, Iterable[str]]] = ()) -> list[Problem]:
        with as_file(AmtoolConfig.readable(path), "alertmanager.yaml") as file:
            return self._routes(file, cases)

    def _routes(self, path: pathlib.Path, cases: Iterable[tuple[dict, Iterable[str]]]) -> list[Problem]:
        found = []
        for labels, receivers in cases:
            pairs = [f"{k}={v}" for k, v in labels.items()]
            wanted = ",".join(receivers)
            command = [
                program("amtool"),
                "config",
                "routes",
                "test",
                f"--config.file={path}",
                f"--verify.receivers={wanted}",
            ]
            ended = run(*command, *pairs)
            if ended.returncode:
                found.append(
                    self.problem(
                        " ".join(pairs), f"wanted {wanted}, got: {ended.stdout.splitlines()[:1]} {ended.stderr}"
                    )
                )
        return found


# --- files of the host, the repository and the edge -------------------------------------------------------------------


class Nginx(Oracle):
    """`nginx -t`. `waf=True`: ModSecurity is loaded too. Relative names are below `prefix` (default: the file's folder)."""

    name = "nginx"
    programs = ("nginx",)
    hint = DEBIAN
    file_name = "nginx.conf"

    def judge(self, path: pathlib.Path, waf: bool = False, prefix: pathlib.Path | None = None) -> list[Problem]:
        flags = ["-t", "-q", "-p", prefix or path.parent, "-c", path.resolve(), "-e", "stderr"]
        if waf:
            flags += ["-g", f"load_module {ENGINE_MODULE};"]
        ended = run(program("nginx"), *flags)
        if ended.returncode == 0 and ended.stdout:  # its reader of SecLang prints what it could not read, and goes on
            return [self.problem(path, f"unread text: {ended.stdout.strip()!r}")]
        return self.by_status(path, ended)


class NginxWaf(Nginx):
    """A SecLang file in a server that loads it for real. statuses() asks that server."""

    name = "nginx with ModSecurity"
    file_name = "waf.conf"

    def available(self) -> str | None:
        missing = super().available()
        if not missing and not ENGINE_MODULE.exists():
            missing = f"{ENGINE_MODULE} is not here; {DEBIAN}"
        return missing

    def judge(self, path: pathlib.Path) -> list[Problem]:
        with tempfile.TemporaryDirectory(prefix="tg-oracle-") as folder:
            return super().judge(self._configure(pathlib.Path(folder), path, 1), waf=True)

    def statuses(self, what: pathlib.Path | str, requests: Iterable[str | tuple[str, str, bytes]]) -> list[int]:
        """The status of each request: a path with its query, or (method, path, form). 200 when the wall lets it by."""
        with tempfile.TemporaryDirectory(prefix="tg-oracle-") as name, as_file(what, self.file_name) as path:
            folder, port = pathlib.Path(name), kube.free_ports(1)[0]
            config = self._configure(folder, path, port)
            flags = ["-p", folder, "-c", config, "-e", "stderr", "-g", f"load_module {ENGINE_MODULE}; daemon off;"]
            with (folder / "log").open("wb") as log:
                command = ["setpriv", "--pdeathsig", "KILL", program("nginx"), *map(str, flags)]
                server = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                until("nginx listens", lambda: server.poll() is not None or _listens(port), 30.0)
                return [self._ask(port, request) for request in requests]
            finally:
                server.terminate()
                server.wait(15)

    def _configure(self, folder: pathlib.Path, rules: pathlib.Path, port: int) -> pathlib.Path:
        """A static file answers: `return` would come before the rules are asked."""
        (folder / "site").mkdir()
        (folder / "site/index.html").write_text("let by\n")
        temporary = "".join(
            f"  {t}_temp_path {folder}/{t};\n" for t in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""  # the folder is closed to others
        config = folder / "nginx.conf"
        config.write_text(
            f"{user}pid {folder}/pid;\nevents {{}}\nhttp {{\n  access_log off;\n{temporary}"
            f"  server {{\n    listen 127.0.0.1:{port};\n    root {folder}/site;\n"
            "    location / { try_files $uri /index.html; error_page 405 =200 $uri; }\n"
            f"    modsecurity on;\n    modsecurity_rules_file {rules.resolve()};\n  }}\n}}\n"
        )
        return config

    def _ask(self, port: int, request: str | tuple[str, str, bytes]) -> int:
        method, path, form = ("GET", request, b"") if isinstance(request, str) else request
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        headers = {"Content-Type": "application/x-www-form-urlencoded"} if form else {}
        try:
            connection.request(method, path, form or None, {"User-Agent": "tests", "Accept": "*/*", **headers})
            return connection.getresponse().status
        finally:
            connection.close()


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


class Actionlint(Oracle):
    """Workflow files; the shell in them by shellcheck when that is here."""

    name = "actionlint"
    programs = ("actionlint",)
    file_name = "workflow.yaml"

    def judge(self, path: pathlib.Path) -> list[Problem]:
        beside = path.parent.parent / "actionlint.yaml"
        known = ["-config-file", beside] if beside.exists() else []
        ended = run(program("actionlint"), *known, "-format", "{{json .}}", path)
        try:
            found = json.loads(ended.stdout)
        except ValueError:
            return [self.problem(path, ended.stderr or ended.stdout)]
        return [self.problem(f"{path}:{f['line']}:{f['column']}", f["message"]) for f in found]


class Yamllint(Oracle):
    """Files or folders, by the rules here: what a reader or another parser stumbles over, not the width of a line."""

    name = "yamllint"
    programs = ("yamllint",)
    RULES = (
        "{extends: default, rules: {line-length: disable, document-start: disable, comments: disable,"
        " comments-indentation: disable, truthy: {check-keys: false}, braces: {max-spaces-inside: 1},"
        " indentation: {spaces: 2, indent-sequences: consistent}}}"
    )
    LINE = re.compile(r"^(?P<where>.*?:\d+:\d+): \[(?P<level>error|warning)\] (?P<text>.*)$")

    def judge(self, path: pathlib.Path) -> list[Problem]:
        return self.check_all([path])

    def check_all(self, paths: Iterable[pathlib.Path]) -> list[Problem]:
        paths = list(paths)
        ended = run(program("yamllint"), "--format", "parsable", "--config-data", self.RULES, *paths)
        lines = [self.LINE.match(line) for line in ended.stdout.splitlines()]
        found = [self.problem(m["where"], m["text"], m["level"] == "warning") for m in lines if m]
        return found or self.by_status(paths, ended)


# --- Helm ------------------------------------------------------------------------------------------------------------


class HelmLint(Oracle):
    """A chart folder, with values files on top."""

    name = "helm lint"
    programs = ("helm",)

    def judge(self, path: pathlib.Path, values: Iterable[pathlib.Path] = ()) -> list[Problem]:
        flags = [f"--values={v}" for v in values]
        return self.by_status(
            path, run(program("helm"), "lint", "--strict", "--kube-version", KUBERNETES, *flags, path)
        )


class HelmTemplate(Oracle):
    """A chart folder; objects() are what it renders, for the other oracles."""

    name = "helm template"
    programs = ("helm",)

    def _run(self, path: pathlib.Path, values: Iterable[pathlib.Path], namespace: str) -> subprocess.CompletedProcess:
        flags = [f"--values={v}" for v in values]
        command = [
            "template",
            "release",
            path,
            "--namespace",
            namespace,
            "--kube-version",
            KUBERNETES,
            "--include-crds",
        ]
        return run(program("helm"), *command, *flags)

    def judge(
        self, path: pathlib.Path, values: Iterable[pathlib.Path] = (), namespace: str = "default"
    ) -> list[Problem]:
        return self.by_status(path, self._run(path, values, namespace))

    def objects(
        self, path: pathlib.Path, values: Iterable[pathlib.Path] = (), namespace: str = "default"
    ) -> list[dict]:
        ended = self._run(path, values, namespace)
        if ended.returncode:
            raise AssertionError(f"helm template {path}: {ended.stderr}")
        return kube_facts.parse(ended.stdout)


# --- LiteLLM ---------------------------------------------------------------------------------------------------------


class LiteLlm(Oracle):
    """LiteLLM's own reading of its configuration file, in its own environment. Needs no network and no key."""

    name = "litellm"
    programs = ("litellm",)
    LOADER = pathlib.Path(__file__).resolve().parent.parent / "oracles" / "load_litellm.py"

    def judge(self, path: pathlib.Path, env: dict | None = None) -> list[Problem]:
        python = kube.folder_of_tools() / "python/bin/python"
        return self.by_status(path, run(python, self.LOADER, path, env=env))


api_server = DryRun()
kubeconform = Kubeconform()
kube_score = KubeScore()
gator = GatorTest()
kyverno_test = KyvernoTest()
promtool_rules = PromtoolRules()
amtool_config = AmtoolConfig()
amtool_routes = AmtoolRoutes()
nginx = Nginx()
nginx_waf = NginxWaf()
actionlint = Actionlint()
checkov = Command(
    "checkov",
    lambda p: ["checkov", "--file", p, "--quiet", "--compact", "--skip-download"],
    "tools/oracles.sh checkov installs it",
    "deployment.yaml",
)
yamllint = Yamllint()
helm_lint = HelmLint()
helm_template = HelmTemplate()
litellm = LiteLlm()
