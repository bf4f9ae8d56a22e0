"""The hostile benchmark: its judge catches every breach of the contract, and its cases can all be made."""

import re
import signal
import sys
from collections import Counter
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest

from spondyl.benches.hostile import bench, runner
from spondyl.benches.hostile.base import PATIENT
from spondyl.benches.hostile.bench import format_results, run_cases
from spondyl.benches.hostile.bombs import make_gzip_bomb
from spondyl.benches.hostile.case import DONE, EMPTY, REFUSED, Call, Case, Interrupt, Workspace
from spondyl.benches.hostile.catalogue import list_cases
from spondyl.benches.hostile.judge import find_faults, is_same
from spondyl.benches.hostile.process import Outcome, run_bounded
from spondyl.benches.hostile.runner import Result, Runner, install_watch, open_runner
from spondyl.benches.table import BenchInput
from spondyl.findings import Findings, ImageGrid, Software, Vertebra, WeightsUsed
from spondyl.plan import Plan

CASES = list_cases()
FAMILIES = sorted({case.family for case in CASES})
SLOW_TO_MAKE = re.compile(r"20000|\d000 (small|texts|images)|^12000 frames|20 GB|^[\d ]+x \d+, \d+ slices")
"""Cases whose input takes seconds to write; the benchmark itself makes them."""

SENTENCE = "print('spondyl: the scan is no scan', file=sys.stderr)\n"
REFUSES = f"{SENTENCE}sys.exit(2)\n"
REPORTS = "out = pathlib.Path(sys.argv[3]); out.mkdir(); (out / 'report.json').write_text({!r})\n"


def findings(
    level: str = "L4", centroid_mm: tuple[float, float, float] = (0, 0, 0), *, empty: bool = False
) -> Findings:
    corners = ((0.0, -9.0, 9.0), (0.0, -9.0, -9.0), (0.0, 9.0, -9.0), (0.0, 9.0, 9.0))
    vertebra = Vertebra(
        level=level,
        level_probability=1,
        level_probabilities={level: 1},
        detection_score=1,
        centroid_mm=centroid_mm,
        outline_mm=(corners,),
        slices=(0,),
    )
    rows = ((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))
    return Findings(
        software=Software(version="0", weights=(WeightsUsed(name="w", sha256="ab" * 32),)),
        input={},
        image=ImageGrid(modality="mr", shape=(9, 9, 9), spacing_mm=(1, 1, 1), affine_ras=rows),
        vertebrae=() if empty else (vertebra,),
        warnings=(),
        timing_s={},
    )


REPORT = REPORTS.format(findings().to_json())


def case_of(*calls: Call, **settings: object) -> Case:
    """A case with an input of the name that hospitals give it."""

    def prepare(site: Workspace) -> Path:
        return site.put(f"{PATIENT}.nii", b"scan")

    return Case(name="fake", family="fake", prepare=prepare, calls=calls, **settings)  # type: ignore[arg-type]


def judged(tmp_path: Path, code: str, case: Case | None = None, base: Findings | None = None) -> Result:
    """How a program is judged that runs this code; its third argument is the output folder."""
    install_watch(tmp_path)
    program = (sys.executable, "-c", f"import os, pathlib, signal, sys, time\n{code}")
    return Runner(top=tmp_path, command=program, base=base).run(case or case_of(Call()))


@pytest.mark.parametrize(
    ("code", "status"),
    [
        (REFUSES, REFUSED),
        (f"print('read', file=sys.stderr)\n{REFUSES}", REFUSED),
        (f"print('warning: modality guessed', file=sys.stderr)\n{REPORT}", DONE),
        (f"{REPORTS.format(findings(empty=True).to_json())}{SENTENCE}sys.exit(3)", EMPTY),
    ],
)
def test_a_program_that_keeps_the_contract_is_not_blamed(tmp_path: Path, code: str, status: int) -> None:
    result = judged(tmp_path, code)
    assert (result.faults, result.statuses) == ((), (status,))


@pytest.mark.parametrize(
    ("code", "fault"),
    [
        ("raise ValueError", "shows a traceback"),
        ("sys.exit(1)", "exit 1, right is 0 or 2 or 3"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "exit -11, right is 0 or 2 or 3"),
        ("sys.exit(2)", "0 sentences on stderr where 1 belongs"),
        (SENTENCE + REFUSES, "2 sentences on stderr where 1 belongs"),
        (f"{SENTENCE}{REPORT}", "1 sentences on stderr where 0 belongs"),
        (f"print('Corrupt JPEG data', file=sys.stderr)\n{REFUSES}", "1 lines on stderr that are neither"),
        (f"print('a\\x1b[31m')\n{REFUSES}", "control characters"),
        (f"print(sys.argv[1])\n{REFUSES}", "a planted name or number in stdout"),
        ("print('spondyl: no such file:', sys.argv[1], file=sys.stderr); sys.exit(2)", "number in stderr"),
        (f"os.mkdir(sys.argv[3])\n{REFUSES}", "leaves or changes 1 other files or folders, such as 'out'"),
        (f"open(sys.argv[1], 'a').write('x')\n{REFUSES}", "leaves or changes 1 other"),
        (f"os.unlink(sys.argv[1])\n{REFUSES}", "leaves or changes 1 other"),
        (f"os.mkdir(os.path.expanduser('~/intel'))\n{REPORT}", "such as 'intel'"),
        (f"os.mkdir(sys.argv[3] + '-old')\n{REPORT}", "such as 'out-old'"),
        ("pass", "no report"),
        (REPORTS.format("{}"), "an invalid report"),
        (REPORTS.format(findings(empty=True).to_json()), "exit 0 with 0 vertebrae"),
        (f"{REPORT}(out / 'page.html').write_text('ZWEISTEIN')", "a planted name or number in page.html"),
        (
            "import socket\ntry: socket.getaddrinfo('localhost', 80)\nexcept OSError: pass\n" + REFUSES,
            "a network: socket",
        ),
    ],
)
def test_each_breach_of_the_contract_is_named(tmp_path: Path, code: str, fault: str) -> None:
    assert any(fault in found for found in judged(tmp_path, code).faults)


def test_folders_made_above_a_report_belong_to_it_and_those_above_a_refusal_do_not(tmp_path: Path) -> None:
    case = case_of(Call(out="results/a/b"))
    assert judged(tmp_path, REPORT.replace("out.mkdir()", "out.mkdir(parents=True)"), case).faults == ()
    (found,) = judged(tmp_path, f"os.makedirs(os.path.dirname(sys.argv[3]))\n{REFUSES}", case).faults
    assert "such as 'a'" in found


def test_a_refusal_where_only_a_report_is_right_is_a_fault(tmp_path: Path) -> None:
    assert judged(tmp_path, REFUSES, case_of(Call(statuses=(DONE,)))).faults == ("exit 2, right is 0",)


def test_a_program_that_does_not_end_is_ended(tmp_path: Path) -> None:
    result = judged(tmp_path, "time.sleep(60)", replace(case_of(Call()), limit_s=0.3))
    assert result.faults == ("not done after 0 s",)
    assert result.seconds < 10


def test_a_program_that_takes_too_much_memory_is_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "x = b'x' * 10**9\nimport time\ntime.sleep(60)"]
    outcome = run_bounded(command, folder=tmp_path, environment={}, limit_s=60, limit_gb=0.3)
    assert outcome.stopped == "more than 0.3 GB of memory"
    assert outcome.peak_gb < 2
    assert outcome.seconds < 50


def test_memory_that_was_held_between_two_looks_counts(tmp_path: Path) -> None:
    case, call = case_of(Call()), Call()
    outcome = Outcome(status=REFUSED, seconds=1, peak_gb=2.1, stdout="", stderr="spondyl: too large\n")
    assert find_faults(case, call, outcome, report=tmp_path, before={}, after={}) == ["took 2.1 GB, the limit is 2.0"]


def test_memory_grows_with_the_voxels_of_an_honest_scan_only() -> None:
    assert case_of(Call()).limit_gb == 2
    assert case_of(Call(), voxels=10**8).limit_gb == pytest.approx(5.5)


def test_other_findings_than_those_of_the_honest_scan_are_a_fault(tmp_path: Path) -> None:
    case = case_of(Call(statuses=(DONE,)), is_like_base=True)
    assert judged(tmp_path, REPORT, case, findings()).faults == ()
    assert judged(tmp_path, REPORT, case, findings("L5")).faults == ("other findings than in the honest scan",)


def test_findings_are_the_same_within_a_millimetre() -> None:
    assert is_same(findings(), findings(centroid_mm=(0, 0.9, 0)))
    assert not is_same(findings(), findings(centroid_mm=(0, 1.1, 0)))
    assert not is_same(findings(), findings(empty=True))


def test_a_signal_is_sent_at_its_stage_and_what_is_left_then_counts(tmp_path: Path) -> None:
    call = Call(statuses=(130,), interrupt=Interrupt(signal=2, at="networks"))
    code = (
        "try:\n for stage in ('read', 'networks'): print(stage, file=sys.stderr, flush=True)\n time.sleep(60)\n"
        "except KeyboardInterrupt:\n {} print('spondyl: interrupted', file=sys.stderr); sys.exit(130)\n"
    )
    assert judged(tmp_path, code.format(""), case_of(call)).faults == ()
    (found,) = judged(tmp_path, code.format("os.mkdir(sys.argv[3]);"), case_of(call)).faults
    assert "leaves or changes 1 other" in found


def test_a_program_can_be_interrupted_although_the_benchmark_runs_deaf_to_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runner, "_warm_up", lambda _: findings())
    call = Call(statuses=(-2,), interrupt=Interrupt(signal=2, at="read"))
    code = "import sys, time, signal\nprint('read', file=sys.stderr, flush=True)\ntime.sleep(60)"
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with open_runner() as made:
            result = replace(made, command=(sys.executable, "-c", code)).run(replace(case_of(call), limit_s=9))
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
    assert result.statuses == (-2,)


def test_a_cache_belongs_to_spondyl_whichever_home_it_lies_in(tmp_path: Path) -> None:
    case = case_of(Call(environment={"HOME": "{top}/nowhere"}))
    code = "cache = pathlib.Path.home() / '.cache' / {!r}; cache.mkdir(parents=True); (cache / 'x').touch()\n"
    assert judged(tmp_path, code.format("spondyl") + REFUSES, case).faults == ()
    (found,) = judged(tmp_path, code.format("other") + REFUSES, case).faults
    assert "leaves or changes 2 other" in found


def test_a_signal_at_writing_does_not_come_because_of_an_earlier_report(tmp_path: Path) -> None:
    late = Call(statuses=(130,), interrupt=Interrupt(signal=2, at="writing"))
    code = (
        "out = pathlib.Path(sys.argv[3])\nif not out.exists(): out.mkdir(); sys.exit(3)\n"
        "try: time.sleep(0.3); (out.parent / 'new').mkdir(); time.sleep(60)\n"
        "except KeyboardInterrupt: sys.exit(130 if (out.parent / 'new').exists() else 1)\n"
    )
    assert judged(tmp_path, code, case_of(Call(), late)).statuses == (3, 130)


def test_what_a_killed_run_leaves_must_be_gone_after_the_next(tmp_path: Path) -> None:
    killed = Call(statuses=(-9,), interrupt=Interrupt(signal=9, at="writing"))
    case = case_of(killed, Call(statuses=(DONE,)))
    code = "left = pathlib.Path(sys.argv[3] + '-left')\nif not left.exists(): left.mkdir(); time.sleep(60)\n"
    assert judged(tmp_path, f"{code}left.rmdir()\n{REPORT}", case).faults == ()
    (found,) = judged(tmp_path, f"{code}{REPORT}", case).faults
    assert "such as 'out-left'" in found


def test_every_case_has_a_folder_and_a_home_of_its_own_that_is_gone_afterwards(tmp_path: Path) -> None:
    code = "home = pathlib.Path.home(); (home / 'x').touch(); (home / 'x').chmod(0); home.chmod(0)\n" + REFUSES
    assert any("such as" in found for found in judged(tmp_path, code).faults)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["watch"]


def test_there_are_many_cases_and_no_two_are_the_same() -> None:
    assert len(CASES) >= 300
    assert max(Counter((case.family, case.name) for case in CASES).values()) == 1
    assert max(Counter(case.seed for case in CASES).values()) == 1


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_every_input_can_be_made(family: str, tmp_path: Path) -> None:
    for number, case in enumerate(case for case in CASES if case.family == family):
        if not SLOW_TO_MAKE.search(case.name) and not case.obstacle():
            site = Workspace(tmp_path / str(number), case.seed).make()
            assert isinstance(case.prepare(site), str | Path)


@pytest.mark.parametrize("name", ["random header 1", "noise", "random bytes in every header 2", "10 GB"])
def test_what_is_drawn_at_random_is_the_same_in_every_run(name: str, tmp_path: Path) -> None:
    for case in (case for case in CASES if case.name == name):
        first, second = (made(case, tmp_path / part) for part in "ab")
        assert first == second


def made(case: Case, top: Path) -> dict[Path, bytes]:
    site = Workspace(top, case.seed).make()
    case.prepare(site)
    return {path.relative_to(top): path.read_bytes() for path in top.rglob("*") if path.is_file()}


def test_a_bomb_is_a_thousandth_of_what_it_unpacks_to() -> None:
    import zlib

    bomb = make_gzip_bomb(b"prefix", 10**9)
    assert len(bomb) < 2 * 10**6
    start = zlib.decompressobj(31).decompress(bomb, 40 * 10**6)
    assert start == b"prefix" + bytes(40 * 10**6 - 6)


CHEAP = (
    "NIfTI file/cut off after 0 bytes",
    "folders/empty",
    "folders//dev/null as input",
    "zip/nothing",
    "output folder/the input's folder",
)


@pytest.mark.parametrize("name", CHEAP)
def test_the_command_line_handles_the_cheapest_cases(name: str, tmp_path: Path) -> None:
    (case,) = (case for case in CASES if f"{case.family}/{case.name}" == name)
    install_watch(tmp_path)
    (result,) = run_cases(Runner(top=tmp_path, command=(sys.executable, "-m", "spondyl.cli", "analyze")), [case])
    assert (result.faults, result.statuses) == ((), (REFUSED,))


def test_the_table_counts_every_status_and_names_what_was_not_handled() -> None:
    good, bad = case_of(Call()), replace(case_of(Call()), name="bad")
    elsewhere = replace(good, name="elsewhere", obstacle=lambda: "needs another machine")
    results = [
        Result(case=good, statuses=(0, 2), seconds=1.5, peak_gb=0.5),
        Result(case=bad, statuses=(1,), seconds=9.0, peak_gb=0.25, faults=("exit 1, right is 2",)),
        Result(case=elsewhere, obstacle=elsewhere.obstacle()),
    ]
    text = format_results(results)
    row = next(line for line in text.splitlines() if line.startswith("| fake"))
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        "fake",
        "2",
        "0 (1x), 1 (1x), 2 (1x)",
        "9.0 s",
        "0.50 GB",
        "1",
    ]
    assert "- fake, bad: exit 1, right is 2" in text
    assert text.endswith("- fake, elsewhere: needs another machine")


def test_the_benchmark_runs_every_case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install_watch(tmp_path)
    base = findings()
    runner = Runner(top=tmp_path, command=(sys.executable, "-c", f"import sys\n{REFUSES}"), base=base)
    large = replace(case_of(Call()), name="large", voxels=10**8)
    monkeypatch.setattr(bench, "open_runner", lambda: nullcontext(runner))
    monkeypatch.setattr(bench, "list_cases", lambda: (large, case_of(Call())))
    result = bench.run_hostile(BenchInput(plan=Plan()))
    assert "| all    |     2 |        2 (2x) |" in result.text
    assert "Not handled" not in result.text
    assert result.weights == base.software.weights != ()
