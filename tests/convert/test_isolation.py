import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from packager.convert.isolation import converting
from packager.core.conversion import ConversionRequest, RawConversion
from packager.core.errors import ConversionError, ConversionTimeout, SampleError
from packager.core.progress import SilentProgress
from tests.support.converters import Obedient

ROOT = Path(__file__).parents[2]


class Recorded(SilentProgress):
    def __init__(self) -> None:
        self.events: list[str] = []

    def step(self, message: str) -> None:
        self.events.append(message)

    def advance(self, done: int, total: int) -> None:
        self.events.append(f"{done}/{total}")

    def detail(self, message: str) -> None:
        self.events.append(message)


@pytest.fixture(autouse=True)
def importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("PYTHONPATH", ".")
    monkeypatch.setenv("DRAY_TEST_SECRET", "hush")


def run(folder: Path, order: str, progress: Recorded | None = None, **limits: float) -> RawConversion:
    source = folder / "model.txt"
    source.write_text(order)
    work = folder / "work"
    work.mkdir()
    request = ConversionRequest(source=source, workdir=work)
    memory = limits.pop("memory_mib", None)
    timeout = limits.pop("timeout_s", 60.0)
    with converting(Obedient(), request, timeout_s=timeout, memory_mib=memory and int(memory)) as child:
        return child.result(progress or Recorded())


def test_the_answer_comes_back_as_it_was(tmp_path: Path) -> None:
    raw = run(tmp_path, "report")
    assert raw.onnx == tmp_path / "work" / "result" / "model.onnx"
    assert raw.labels == {"p": ("a", 1, True, 0.5)}
    assert raw.seed == 7


def test_progress_is_passed_on(tmp_path: Path) -> None:
    progress = Recorded()
    run(tmp_path, "report", progress)
    assert progress.events[:2] == ["at work", "1/2"]


def test_the_child_has_an_empty_home_and_no_secrets(tmp_path: Path) -> None:
    progress = Recorded()
    run(tmp_path, "report", progress)
    assert progress.events[2] == f"HOME={tmp_path / 'work' / 'home'} secret=None cwd={tmp_path / 'work'}"
    assert not list((tmp_path / "work" / "home").iterdir())


def test_a_refusal_comes_back_as_its_own_class(tmp_path: Path) -> None:
    with pytest.raises(SampleError) as caught:
        run(tmp_path, "refuse")
    assert (caught.value.message, caught.value.hint) == ("rows do not fit", "give others")
    assert caught.value.detail == {"column": 3}


def test_a_crash_is_reported_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"was ended by signal 11 without an answer: ") as caught:
        run(tmp_path, "crash")
    assert caught.value.code == "E-CONVERSION"
    assert "segment violated" in caught.value.detail["output"]
    assert caught.value.hint


def test_an_unforeseen_exception_is_reported(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"ended with status 1 .*ZeroDivisionError: by nothing"):
        run(tmp_path, "raise_unforeseen")


def test_a_child_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ConversionTimeout) as caught:
        run(tmp_path, "hang", timeout_s=2)
    assert caught.value.code == "E-CONVERSION-TIMEOUT"
    assert caught.value.message == "the conversion did not end within 2 s"
    assert "--timeout" in caught.value.hint
    assert_gone(int((tmp_path / "work" / "result" / "pid").read_text()))


def test_an_interrupt_leaves_no_child(tmp_path: Path) -> None:
    class Interrupting(Recorded):
        def step(self, message: str) -> None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(tmp_path, "hang", Interrupting())
    assert_gone(int((tmp_path / "work" / "result" / "pid").read_text()))


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="macOS does not keep memory limits")
def test_memory_is_bounded(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"more than the 1024 MiB of memory that it was given") as caught:
        run(tmp_path, "eat", memory_mib=1024)
    assert "--samples" in caught.value.hint


def test_a_file_outside_of_the_childs_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConversionError, match=r"names a file outside its folder: '/etc/passwd'"):
        run(tmp_path, "escape")


def assert_gone(pid: int) -> None:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return
        time.sleep(0.02)
    raise AssertionError(f"process {pid} is still there")


def test_a_child_does_not_outlive_a_parent_that_was_killed(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from packager.convert.isolation import converting;"
        "from packager.core.conversion import ConversionRequest; from packager.core.progress import SilentProgress;"
        "from tests.support.converters import Obedient; work = Path(sys.argv[1]);"
        "request = ConversionRequest(source=work / 'order.txt', workdir=work)\n"
        "with converting(Obedient(), request, timeout_s=60) as child: child.result(SilentProgress())"
    )
    (tmp_path / "order.txt").write_text("hang")
    pid_file = tmp_path / "result" / "pid"
    with subprocess.Popen([sys.executable, "-c", script, str(tmp_path)]) as parent:
        while not pid_file.exists() or not pid_file.read_text():
            assert parent.poll() is None
            time.sleep(0.02)
        parent.kill()
    assert_gone(int(pid_file.read_text()))
