import threading

import pytest

from packager.pack import next_version


def test_versions_count_up_by_name() -> None:
    seen = []
    for name in ("churn", "churn", "fraud"):
        with next_version(name) as version:
            seen.append(version)

    assert seen == ["1", "2", "1"]


def test_a_failed_package_uses_up_no_number() -> None:
    with pytest.raises(RuntimeError), next_version("churn"):
        raise RuntimeError("the disk is full, say")

    with next_version("churn") as version:
        assert version == "1"


def test_looking_for_a_plan_uses_up_no_number() -> None:
    with next_version("churn", count=False) as looked:
        pass
    with next_version("churn") as counted:
        pass

    assert looked == counted == "1"


def test_two_at_once_get_two_numbers() -> None:
    seen: list[str] = []

    def count() -> None:
        with next_version("churn") as version:
            seen.append(version)

    threads = [threading.Thread(target=count) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(seen, key=int) == [str(number) for number in range(1, 9)]
