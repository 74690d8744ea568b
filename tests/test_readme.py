"""README.md shows what happens: its Python blocks and commands are run, their output compared."""

import re
import shlex
from pathlib import Path

from click.testing import CliRunner

from lazyusid.cli import main

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text("utf-8")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.DOTALL | re.MULTILINE)
COMMAND = re.compile(r"^(?:\$ |.*/)lazyusid (.+)\n", re.MULTILINE)


def steps(text: str) -> list[tuple[str, str, str]]:
    """What to run, in order: "python" or "lazyusid", the code or the arguments, what it prints."""
    blocks = BLOCK.findall(text)
    found = []
    for (kind, body), (next_kind, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        below = shown if next_kind == "text" else ""
        if kind == "python":
            found.append(("python", body, below))
        elif kind == "console":
            _, *parts = COMMAND.split(body)
            found += [("lazyusid", *pair) for pair in zip(parts[::2], parts[1::2], strict=True)]
        elif kind == "bash" and COMMAND.search(body):
            found.append(("lazyusid", COMMAND.search(body)[1], below))
    return found


def settled(text: str) -> str:
    """Text without what differs from run to run: times, folders, how well the data compress."""
    text = re.sub(r"\[\d+ ms\]", "[... ms]", text)
    text = re.sub(r"[^\s'][^'\n]*[/\\]scan\.h5", "scan.h5", text)
    text = re.sub(r"(gzip, |scan\.h5, |disk +)[\d.]+ MiB", r"\1... MiB", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def run_lazyusid(arguments: str) -> str:
    done = CliRunner().invoke(main, shlex.split(arguments), catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def test_every_step_prints_what_is_shown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    namespace = {}
    for kind, told, shown in steps(README):
        if kind == "python":
            exec(told, namespace)
            printed = capsys.readouterr().out
        else:
            printed = run_lazyusid(told)
        assert settled(printed) == settled(shown), told


def test_the_steps_are_found():
    kinds = [kind for kind, _, _ in steps(README)]
    assert kinds.count("python") >= 3
    assert [told.split()[0] for kind, told, _ in steps(README) if kind == "lazyusid"] == [
        "demo",
        "info",
        "validate",
    ]
    assert all(shown for _, _, shown in steps(README))


def test_what_is_shown_is_compared_but_for_times_and_folders():
    assert settled("wrote /tmp/a b/scan.h5, 2.3 MiB  [7 ms]") == settled(
        "wrote C:\\x\\scan.h5, 2.4 MiB  [12 ms]"
    )
    assert settled("tasks  1") != settled("tasks  2")


def test_every_link_into_the_repository_leads_to_a_file():
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) >= 4
    assert [link for link in links if not (ROOT / link).is_file()] == []
