"""Of everything that a local run prints, stage messages and bars reach the screen; the log has every line."""

from io import StringIO

import pytest

from pipelines.console import StageConsole

pytestmark = pytest.mark.unit

NOISE = "16:20:31.123 - INFO - Executing task 'index'\n"
FAILED = "16:20:32.123 - ERROR - Task \x1b[96m'index'\x1b[0m finished with status \x1b[91mFAILURE\x1b[0m\n"


class Terminal(StringIO):
    def isatty(self):
        return True


def test_stage_lines_pass_and_noise_goes_to_the_log_only():
    screen, log = StringIO(), StringIO()
    console = StageConsole(screen, log)
    console.write(NOISE)
    console.write("    ")  # As KFP prints: the indentation and the line in two pieces.
    console.write("[3/8 index] started\n")
    console.write("    [KFP Executor 2026-11-23 16:20:31 INFO]: Looking for component `index`\n\n")
    assert screen.getvalue() == "[3/8 index] started\n"
    assert log.getvalue().splitlines() == [
        NOISE.strip(),
        "    [3/8 index] started",
        "    [KFP Executor 2026-11-23 16:20:31 INFO]: Looking for component `index`",
    ]


def test_terminal_overwrites_the_bar_and_clears_it_before_the_next_line():
    screen = Terminal()
    console = StageConsole(screen, StringIO())
    console.write("encode:  50%|#####     | 1/2 [00:01<00:01]\n")
    console.write("encode: 100%|##########| 2/2 [00:02<00:00]\n")
    console.write("[3/8 index] done in 2 s\n")
    assert screen.getvalue() == (
        "\r\x1b[2K    encode:  50%|#####     | 1/2 [00:01<00:01]"
        "\r\x1b[2K    encode: 100%|##########| 2/2 [00:02<00:00]"
        "\r\x1b[2K[3/8 index] done in 2 s\n"
    )


def test_plain_output_gets_a_line_of_progress_every_ten_seconds():
    screen = StringIO()
    seconds = 0.0
    console = StageConsole(screen, StringIO(), clock=lambda: seconds)
    console.write("[5/8 sft] started\n")
    for done in range(101):
        seconds = done / 4
        console.write(f"\x1b[Atrain: {done:3d}%|###       | {done}/100 [00:01<00:01]\n")
    assert screen.getvalue().splitlines() == [
        "[5/8 sft] started",
        "    train:  40%|###       | 40/100 [00:01<00:01]",
        "    train:  80%|###       | 80/100 [00:01<00:01]",
    ]


def test_message_of_a_readable_error_is_kept():
    console = StageConsole(StringIO(), StringIO())
    console.write("    Traceback (most recent call last):\n    ValueError: inner\n")
    console.write("    gream.errors.DataError: ratings.csv has no column 'title'.\n")
    assert console.error == "ratings.csv has no column 'title'."


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("gream.indexing.semantic_index.OutgrownError: no room for item 7.", "no room for item 7."),
        ("gream.stages.launch.TrainingError: rank 1 was killed.", "rank 1 was killed."),
        ("NotADirectoryError: [Errno 20] Not a directory: 'x'", "[Errno 20] Not a directory: 'x'"),
        ("OSError: [Errno 28] No space left on device", "[Errno 28] No space left on device"),
        ("PermissionError: [Errno 13] Permission denied: '/data'", "[Errno 13] Permission denied: '/data'"),
        ("FileNotFoundError: [Errno 2] No such file: '/data'", "[Errno 2] No such file: '/data'"),
        ("gream.monitor: the run goes on", None),
        ("torch.distributed.elastic.ChildFailedError: x", None),
        ("    raise gream.errors.DataError: x", None),
        ("KeyError: 'gream.errors.DataError: x'", None),
    ],
)
def test_a_message_is_readable_where_an_error_of_ours_or_of_the_system_says_it(line, message):
    console = StageConsole(StringIO(), StringIO())
    console.write(f"    {line}\n{FAILED}")
    assert console.error == message


@pytest.mark.parametrize(
    ("lines", "store"),
    [
        (["gream.errors.StoreError: The S3 server does not answer."], True),
        (["gream.errors.StoreError: The S3 server does not answer.", "gream.errors.DataError: no room."], False),
        (["gream.errors.DataError: gream.errors.StoreError: no room."], False),
        ([], False),
    ],
)
def test_a_store_that_failed_is_told_apart(lines, store):
    console = StageConsole(StringIO(), StringIO())
    console.write("".join(f"    {line}\n" for line in lines) + FAILED)
    assert console.store_failed is store


@pytest.mark.parametrize(
    "lines",
    [
        [
            "FileNotFoundError: No such file: 'x'",
            "During handling of it:",
            "torch.OutOfMemoryError: CUDA out of memory.",
        ],
        ["gream.errors.DataError: no room.", "[gate] started"],
    ],
)
def test_an_error_before_the_one_that_ended_a_step_tells_nothing(lines):
    console = StageConsole(StringIO(), StringIO())
    console.write("".join(f"    {line}\n" for line in lines) + FAILED)
    assert console.error is None


def test_steps_that_kfp_goes_on_with_leave_the_error_of_the_failed_one():
    screen = StringIO()
    console = StageConsole(screen, StringIO())
    console.write(f"    gream.errors.DataError: x.csv does not exist.\n{FAILED}")
    assert screen.getvalue() == ""  # Where nothing goes on, the run's own last line says it.
    console.write(f"{NOISE}    [champion] started\n    [champion] done in 0 s\n")
    console.write(f"    ValueError: another.\n{FAILED.replace('index', 'gate')}{NOISE}{NOISE}")
    assert console.error == "x.csv does not exist."
    assert screen.getvalue().splitlines() == [
        "[index] failed: x.csv does not exist; what does not need it goes on",
        "[champion] started",
        "[champion] done in 0 s",
        "[gate] failed: see the log; what does not need it goes on",
    ]


def test_stages_of_a_retraining_have_no_number():
    screen = StringIO()
    console = StageConsole(screen, StringIO())
    console.write("[gate] started\n[KFP Executor] no\n[refresh] hold-out: done in 2 s\n")
    assert screen.getvalue() == "[gate] started\n[refresh] hold-out: done in 2 s\n"
