from benchmarks.serving.startup import import_table, read_imports

LOG = """import time: self [us] | cumulative | imported package
import time:       100 |        100 |   numpy.core
{"level": "info", "message": "loading"}
import time:      2500 |       2600 | numpy
import time:       400 |       3000 | runtime.app
"""


def test_imports_are_read_among_other_lines() -> None:
    imports = read_imports(LOG)

    assert [each.module for each in imports] == ["numpy.core", "numpy", "runtime.app"]
    assert (imports[1].self_ms, imports[1].cumulative_ms) == (2.5, 2.6)


def test_modules_of_a_package_add_up() -> None:
    title, _, first, *_ = import_table(read_imports(LOG))

    assert title.startswith("3 modules in 3 ms")
    assert first.split() == ["numpy", "2.6", "runtime.app", "3.0", "numpy", "2.5"]
