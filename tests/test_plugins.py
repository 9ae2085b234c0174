from importlib.metadata import EntryPoint

import pytest

from packager import plugins
from packager.core.errors import ConverterMissing, PluginBroken, UsageError
from packager.core.protocols import Converter
from packager.core.rehearsal import Rehearsal


class FakeDistribution:
    def __init__(self, name: str) -> None:
        self.name = name


class Mislabelled:
    name = "other"
    requires = ()
    isolated = False

    def recognises(self, source: object) -> bool:
        return False

    def convert(self, request: object, progress: object) -> None:
        return None


def entry(name: str, value: str, owner: str) -> EntryPoint:
    point = EntryPoint(name, value, plugins.CONVERTERS)
    vars(point)["dist"] = FakeDistribution(owner)
    return point


def registry(*entries: EntryPoint) -> plugins.Registry[Converter]:
    return plugins.Registry[Converter](plugins.CONVERTERS, entries, lambda plugin: isinstance(plugin, Converter))


def test_built_in_converters_are_found_by_entry_point() -> None:
    assert plugins.converters()["sklearn"].isolated
    assert not plugins.converters()["onnx"].isolated


def test_a_plugin_is_not_imported_before_it_is_used() -> None:
    known = registry(entry("gone", "no_such_module:Converter", "dist-a"))
    assert list(known) == ["gone"]
    assert "gone" in known


def test_two_distributions_with_one_name_are_refused() -> None:
    with pytest.raises(PluginBroken) as caught:
        registry(entry("sklearn", "a:A", "dist-a"), entry("sklearn", "b:B", "dist-b"))
    assert caught.value.code == "E-PLUGIN"
    assert caught.value.message == "dist-a and dist-b both install 'sklearn' in the group 'dray.converters'"
    assert caught.value.hint == "uninstall one of the two"


def test_a_plugin_that_cannot_be_imported_is_named() -> None:
    with pytest.raises(PluginBroken, match=r"'gone' of dist-a .*ModuleNotFoundError") as caught:
        registry(entry("gone", "no_such_module:Converter", "dist-a"))["gone"]
    assert "dist-a" in caught.value.hint


@pytest.mark.parametrize("value", [f"{__name__}:Mislabelled", "builtins:dict"])
def test_a_plugin_of_another_form_is_refused(value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EntryPoint, "load", lambda self: Mislabelled if "Mislabelled" in self.value else dict)
    with pytest.raises((PluginBroken, AttributeError), match=r"does not follow the interface"):
        registry(entry("mine", value, "dist-a"))["mine"]


def test_an_unknown_target_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.target("locl")
    assert caught.value.message == "no target named 'locl' is installed"
    assert caught.value.hint.startswith("did you mean 'local'?")


def test_an_unknown_converter_lists_what_is_known() -> None:
    with pytest.raises(ConverterMissing, match=r"no converter named 'caffe'") as caught:
        plugins.converter("caffe")
    assert "onnx, sklearn" in caught.value.hint


def test_a_target_without_a_stand_in_says_so() -> None:
    with pytest.raises(UsageError, match="'local' has no stand-in") as caught:
        plugins.rehearsal("local")
    assert caught.value.detail["known"] == list(plugins.rehearsals())
    with pytest.raises(UsageError, match="no target named 'locl'"):
        plugins.rehearsal("locl")


def test_a_rehearsal_has_the_form_of_one() -> None:
    def accepts(plugin: object) -> bool:
        return isinstance(plugin, Rehearsal)

    toy = EntryPoint("toy", "tests.support.toy_cloud:ToyRehearsal", plugins.REHEARSALS)
    other = EntryPoint("local", "targets.local:LocalTarget", plugins.REHEARSALS)
    known = plugins.Registry[Rehearsal](plugins.REHEARSALS, (toy, other), accepts)
    assert known["toy"].faults
    with pytest.raises(PluginBroken, match="does not follow the interface"):
        assert known["local"]
