import pickle

from runtime.engine.statistics import Statistics, Sum
from runtime.routes.counts import Counts
from runtime.telemetry import BUCKETS, Requests


def counted(*statuses: int) -> Counts:
    requests = Requests()
    for status in statuses:
        requests.count("v2", status, 0.003)
    return Counts(by_status=requests.by_status, latencies=requests.latencies, taken=len(statuses))


def ran(rows: int, times: int) -> Statistics:
    statistics = Statistics()
    for _ in range(times):
        statistics.add(rows=rows, ns=10, succeeded=True)
    statistics.add(rows=0, ns=5, succeeded=False)
    return statistics


def test_requests_of_two_processes_add_up() -> None:
    both = counted(200, 200).plus(counted(200, 400))
    assert both.by_status == {("v2", 200): 3, ("v2", 400): 1}
    assert (sum(both.latencies["v2"].counts), len(both.latencies["v2"].counts)) == (4, len(BUCKETS) + 1)
    assert both.taken == 4


def test_models_of_two_processes_add_up_by_serial_number() -> None:
    both = Counts(models={1: ran(2, 3), 2: ran(1, 1)}).plus(Counts(models={1: ran(4, 1)}))
    assert (both.of(1).rows, both.of(1).succeeded, both.of(1).failed) == (10, Sum(4, 40), Sum(2, 10))
    assert both.of(1).by_batch == {2: Sum(3, 30), 4: Sum(1, 10)}
    assert both.of(2).rows == 1
    assert both.of(3).rows == 0


def test_what_is_no_longer_served_is_left_out() -> None:
    assert set(Counts(models={1: ran(1, 1), 2: ran(1, 1)}).of_models({2}).models) == {2}


def test_statistics_go_to_another_process_as_they_stand() -> None:
    statistics = ran(3, 2)
    copy = pickle.loads(pickle.dumps(statistics))
    statistics.add(rows=3, ns=1, succeeded=True)
    assert (copy.rows, copy.succeeded.count, copy.failed.count) == (6, 2, 1)
