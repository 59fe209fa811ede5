"""Memory in use, over trees of control groups as the kernel's documentation has them."""

from __future__ import annotations

import os
import time
import timeit
from fractions import Fraction
from pathlib import Path
from typing import Any

import psutil
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from health.checks.cgroups import memory_limits
from health.checks.memory import MemoryCheck
from health.status import HealthStatus
from tests.health.checks.cgroup_trees import GIB, MIB, NO_LIMIT_V1, Host, Tree

CGROUP = "/sys/fs/cgroup"
V1 = f"{CGROUP}/memory"
HOST_SAYS = "25.0 % of the host's 16 GiB is in use."


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def message(tree: Tree, host: Host | None = None) -> str:
    return MemoryCheck(name="memory", root=tree.root, host=lambda: host or Host()).run().message


def status_at(used: int, limit: int, **options: Any) -> HealthStatus:
    host = Host(total=limit, available=limit - used)
    return MemoryCheck(name="memory", root=Path("/nowhere"), host=lambda: host, **options).run().status


def container(tree: Tree, **figures: Any) -> None:
    """As Docker, containerd and CRI-O make one on version 2: a namespace of its own, so that the group's path is /."""
    tree.process_is_in("0::/")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2(CGROUP, **figures)


# --- version 2 -------------------------------------------------------------------------------------------------------


def test_a_container_with_a_namespace_of_its_own(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=256 * MIB)
    assert message(tree) == "50.0 % of the cgroup's 512 MiB is in use."


def test_file_pages_not_read_lately_are_not_in_use(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=510 * MIB, inactive_file=382 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_a_container_without_a_limit_has_the_host_s(tree: Tree) -> None:
    container(tree, usage=256 * MIB)
    assert message(tree) == HOST_SAYS


def test_a_group_of_the_host_s_hierarchy(tree: Tree) -> None:
    # docker run --cgroupns=host, and any systemd service
    tree.process_is_in("0::/system.slice/docker-4f1c.scope")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2_root()
    tree.version_2(f"{CGROUP}/system.slice", usage=3 * GIB)
    tree.version_2(f"{CGROUP}/system.slice/docker-4f1c.scope", limit=GIB, usage=256 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 1 GiB is in use."


def test_the_host_s_path_is_cut_where_only_the_container_s_part_is_mounted(tree: Tree) -> None:
    pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1b.slice/cri-containerd-9a.scope"
    tree.process_is_in(f"0::{pod}/workers")
    tree.mounted(("cgroup2", pod, CGROUP))
    tree.version_2(CGROUP, limit=512 * MIB, usage=384 * MIB)
    tree.version_2(f"{CGROUP}/workers", usage=380 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 512 MiB is in use."


def test_the_smallest_limit_of_a_pod_counts_where_all_use_is_the_container_s(tree: Tree) -> None:
    pod = f"{CGROUP}/kubepods/burstable/pod1b"
    tree.process_is_in("0::/kubepods/burstable/pod1b/9a")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2(f"{CGROUP}/kubepods", limit=14 * GIB, usage=600 * MIB)
    tree.version_2(f"{CGROUP}/kubepods/burstable", usage=600 * MIB)
    tree.version_2(pod, limit=GIB, usage=512 * MIB)
    tree.version_2(f"{pod}/9a", limit=2 * GIB, usage=512 * MIB)
    assert message(tree) == "50.0 % of the cgroup's 1 GiB is in use."


def test_a_larger_limit_above_counts_where_neighbours_have_nearly_used_it_up(tree: Tree) -> None:
    tree.process_is_in("0::/pod/mine")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2(f"{CGROUP}/pod", limit=GIB, usage=983 * MIB)
    tree.version_2(f"{CGROUP}/pod/mine", limit=512 * MIB, usage=128 * MIB)
    tree.version_2(f"{CGROUP}/pod/neighbour", limit=GIB, usage=855 * MIB)
    assert message(tree) == "96.0 % of the cgroup's 1 GiB is in use."


def test_a_neighbour_s_own_limit_does_not_count(tree: Tree) -> None:
    tree.process_is_in("0::/pod/mine")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2(f"{CGROUP}/pod", limit=GIB, usage=256 * MIB)
    tree.version_2(f"{CGROUP}/pod/mine", usage=128 * MIB)
    tree.version_2(f"{CGROUP}/pod/neighbour", limit=128 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 1 GiB is in use."


def test_of_equal_shares_the_smaller_limit_is_told(tree: Tree) -> None:
    tree.process_is_in("0::/pod/mine")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2(f"{CGROUP}/pod", limit=GIB, usage=512 * MIB)
    tree.version_2(f"{CGROUP}/pod/mine", limit=512 * MIB, usage=256 * MIB)
    assert message(tree) == "50.0 % of the cgroup's 512 MiB is in use."


def test_the_controller_may_be_off_in_the_process_s_own_group(tree: Tree) -> None:
    # cgroup.subtree_control of the parent does not name memory: the group has no such files
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.process_is_in("0::/app/inner")
    (tree.root / "sys/fs/cgroup/app/inner").mkdir(parents=True)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_a_group_that_is_throttled_before_it_is_killed(tree: Tree) -> None:
    container(tree, limit=512 * MIB, high=400 * MIB, usage=390 * MIB)
    assert message(tree) == "97.5 % of the 400 MiB beyond which the cgroup is throttled is in use."


def test_a_throttle_alone(tree: Tree) -> None:
    # MemoryHigh= without MemoryMax= in a systemd unit
    container(tree, high=400 * MIB, usage=100 * MIB)
    assert message(tree) == "25.0 % of the 400 MiB beyond which the cgroup is throttled is in use."


@pytest.mark.parametrize("high", [512 * MIB, GIB])
def test_a_throttle_that_is_not_below_the_limit_is_never_met(tree: Tree, high: int) -> None:
    container(tree, limit=512 * MIB, high=high, usage=256 * MIB)
    assert message(tree) == "50.0 % of the cgroup's 512 MiB is in use."


def test_a_kernel_without_the_throttle_s_file(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=256 * MIB)
    tree.remove(f"{CGROUP}/memory.high")
    assert message(tree) == "50.0 % of the cgroup's 512 MiB is in use."


def test_a_limit_above_the_host_s_memory_is_none(tree: Tree) -> None:
    container(tree, limit=16 * GIB + 4096, usage=256 * MIB)
    assert message(tree) == HOST_SAYS


def test_a_limit_of_all_the_host_s_memory_is_one(tree: Tree) -> None:
    container(tree, limit=16 * GIB, usage=8 * GIB)
    assert message(tree) == "50.0 % of the cgroup's 16 GiB is in use."


def test_a_limit_of_nothing_is_used_up(tree: Tree) -> None:
    container(tree, limit=0, usage=4096)
    assert message(tree) == "100.0 % of the cgroup's 0 B is in use."


def test_statistics_newer_than_the_usage_leave_nothing_rather_than_less(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=MIB, inactive_file=2 * MIB)
    assert message(tree) == "0.0 % of the cgroup's 512 MiB is in use."


def test_a_machine_without_any_limit(tree: Tree) -> None:
    tree.process_is_in("0::/user.slice/user-1000.slice/session-2.scope")
    tree.mounted(("cgroup2", "/", CGROUP))
    tree.version_2_root()
    tree.version_2(f"{CGROUP}/user.slice", usage=2 * GIB)
    tree.version_2(f"{CGROUP}/user.slice/user-1000.slice", usage=2 * GIB)
    tree.version_2(f"{CGROUP}/user.slice/user-1000.slice/session-2.scope", usage=GIB)
    assert message(tree) == HOST_SAYS


# --- namespaces ------------------------------------------------------------------------------------------------------


def test_a_mount_older_than_the_namespace_shows_a_group_above(tree: Tree) -> None:
    # cgroup_namespaces(7): "/.." in the mount's root field, and the name of the group in between is hidden
    tree.process_is_in("0::/")
    tree.mounted(("cgroup2", "/..", CGROUP))
    tree.version_2(CGROUP, limit=GIB, usage=512 * MIB)
    tree.version_2(f"{CGROUP}/neighbour", limit=MIB, usage=MIB)
    assert message(tree) == "50.0 % of the cgroup's 1 GiB is in use."


def test_a_group_and_a_mount_outside_of_the_namespace_alike(tree: Tree) -> None:
    tree.process_is_in("0::/../beside/inner")
    tree.mounted(("cgroup2", "/../beside", CGROUP))
    tree.version_2(f"{CGROUP}/inner", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


@pytest.mark.parametrize("group", ["/..", "/../..", "/../beside"])
def test_a_process_moved_out_of_the_container_is_not_bound_by_it(tree: Tree, group: str) -> None:
    container(tree, limit=512 * MIB, usage=512 * MIB)
    tree.process_is_in(f"0::{group}")
    assert message(tree) == HOST_SAYS


def test_another_container_s_group_is_not_ours(tree: Tree) -> None:
    tree.process_is_in("0::/docker/mine")
    tree.mounted(("cgroup2", "/docker/min", f"{CGROUP}/other"), ("cgroup2", "/docker/mine", CGROUP))
    tree.version_2(f"{CGROUP}/other", limit=MIB, usage=MIB)
    tree.version_2(f"{CGROUP}/other/e", limit=MIB, usage=MIB)
    tree.version_2(CGROUP, limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_a_second_mount_may_show_more_than_the_first(tree: Tree) -> None:
    # a pod that has the host's /sys/fs/cgroup mounted beside its own
    tree.process_is_in("0::/pod/mine")
    tree.mounted(("cgroup2", "/pod/mine", CGROUP), ("cgroup2", "/", "/host/cgroup"))
    tree.version_2(CGROUP, limit=GIB, usage=256 * MIB)
    tree.version_2("/host/cgroup/pod/mine", limit=GIB, usage=256 * MIB)
    tree.version_2("/host/cgroup/pod", limit=2 * GIB, usage=1536 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 2 GiB is in use."


# --- version 1 -------------------------------------------------------------------------------------------------------


def test_docker_on_version_1(tree: Tree) -> None:
    tree.process_is_in("12:cpu,cpuacct:/docker/4f1c", "4:memory:/docker/4f1c", "1:name=systemd:/docker/4f1c")
    tree.mounted(
        ("cpu,cpuacct", "/docker/4f1c", f"{CGROUP}/cpu,cpuacct"),
        ("memory", "/docker/4f1c", V1),
        ("name=systemd", "/docker/4f1c", f"{CGROUP}/systemd"),
    )
    tree.version_1(V1, limit=512 * MIB, usage=510 * MIB, inactive_file=126 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 512 MiB is in use."


def test_version_1_counts_the_file_pages_of_the_groups_below_too(tree: Tree) -> None:
    # its "inactive_file" is 0 in these trees: the group's own alone
    tree.process_is_in("4:memory:/")
    tree.mounted(("memory", "/", V1))
    tree.version_1(V1, limit=512 * MIB, usage=512 * MIB, inactive_file=384 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_kubernetes_on_version_1(tree: Tree) -> None:
    pod = "/kubepods/burstable/pod1b"
    tree.process_is_in(f"9:hugetlb:{pod}/9a", f"8:memory:{pod}/9a", f"0::{pod}/9a")
    tree.mounted(("memory", f"{pod}/9a", V1), ("hugetlb", f"{pod}/9a", f"{CGROUP}/hugetlb"))
    tree.version_1(V1, limit=256 * MIB, usage=192 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 256 MiB is in use."


def test_version_1_without_a_limit_has_the_host_s(tree: Tree) -> None:
    tree.process_is_in("4:memory:/a")
    tree.mounted(("memory", "/", V1))
    tree.version_1(V1, usage=4 * GIB)
    tree.version_1(f"{V1}/a", usage=GIB)
    assert message(tree) == HOST_SAYS


@pytest.mark.parametrize("none", [NO_LIMIT_V1, 9223372036854710272, 2**63 - 1, 2**64 - 1])
def test_the_largest_number_of_version_1_is_no_limit_even_if_the_host_s_memory_is_unknown(
    tree: Tree, none: int
) -> None:
    # pages of 4 KiB, of 64 KiB, and the counters in bytes of kernels before 3.19
    tree.process_is_in("4:memory:/")
    tree.mounted(("memory", "/", V1))
    tree.version_1(V1, limit=none, usage=GIB)
    assert message(tree, Host(0, 0)) == "Neither a cgroup nor the host says how much memory is in use."


def test_nested_limits_on_version_1(tree: Tree) -> None:
    tree.process_is_in("4:memory:/a/b/c")
    tree.mounted(("memory", "/", V1))
    tree.version_1(V1, usage=5 * GIB)
    tree.version_1(f"{V1}/a", limit=GIB, usage=768 * MIB)
    tree.version_1(f"{V1}/a/b", limit=2 * GIB, usage=768 * MIB)
    tree.version_1(f"{V1}/a/b/c", usage=768 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 1 GiB is in use."


def test_limits_above_do_not_bind_where_version_1_keeps_no_hierarchy(tree: Tree) -> None:
    tree.process_is_in("4:memory:/a/b")
    tree.mounted(("memory", "/", V1))
    tree.version_1(V1, usage=5 * GIB, use_hierarchy=0)
    tree.version_1(f"{V1}/a", limit=64 * MIB, usage=64 * MIB, use_hierarchy=0)
    tree.version_1(f"{V1}/a/b", limit=512 * MIB, usage=128 * MIB, use_hierarchy=0)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_memory_mounted_together_with_another_controller(tree: Tree) -> None:
    tree.process_is_in("4:cpu,memory:/a")
    tree.mounted(("cpu,memory", "/", "/cgroup/both"))
    tree.version_1("/cgroup/both/a", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


@pytest.mark.parametrize(("controller", "mount"), [("name=memory", "memory"), ("memory", "name=memory")])
def test_a_hierarchy_that_is_only_called_memory_is_another(tree: Tree, controller: str, mount: str) -> None:
    tree.process_is_in(f"4:{controller}:/a")
    tree.mounted((mount, "/", V1))
    tree.version_1(f"{V1}/a", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == HOST_SAYS


# --- hybrid ----------------------------------------------------------------------------------------------------------


def test_systemd_s_hybrid_has_memory_in_version_1(tree: Tree) -> None:
    unit = "/system.slice/app.service"
    tree.process_is_in(f"9:memory:{unit}", f"1:name=systemd:{unit}", f"0::{unit}")
    tree.mounted(("cgroup2", "/", f"{CGROUP}/unified"), ("name=systemd", "/", f"{CGROUP}/systemd"), ("memory", "/", V1))
    (tree.root / "sys/fs/cgroup/unified/system.slice/app.service").mkdir(parents=True)
    tree.version_1(V1, usage=8 * GIB)
    tree.version_1(f"{V1}/system.slice", usage=2 * GIB)
    tree.version_1(f"{V1}{unit}", limit=GIB, usage=768 * MIB)
    assert message(tree) == "75.0 % of the cgroup's 1 GiB is in use."


def test_a_hybrid_that_has_memory_in_version_2(tree: Tree) -> None:
    # as after booting with “cgroup_no_v1=memory”
    tree.process_is_in("5:pids:/app", "1:name=systemd:/app", "0::/app")
    tree.mounted(("pids", "/", f"{CGROUP}/pids"), ("cgroup2", "/", f"{CGROUP}/unified"))
    tree.version_2(f"{CGROUP}/unified/app", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


# --- names -----------------------------------------------------------------------------------------------------------


def test_names_that_the_kernel_escapes_in_one_file_and_not_in_the_other(tree: Tree) -> None:
    tree.process_is_in("0::/my pod:1/b\\c\u2028d")
    tree.mounted(("cgroup2", r"/my\040pod:1", r"/cgroup\134of\040mine"))
    tree.version_2("/cgroup\\of mine/b\\c\u2028d", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_names_that_are_no_utf_8(tree: Tree) -> None:
    container(tree, limit=GIB, usage=MIB)
    tree.overwrite("/proc/self/cgroup", b"0::/\xff\n")
    tree.version_2(f"{CGROUP}/{os.fsdecode(bytes([255]))}", limit=512 * MIB, usage=128 * MIB)
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


# --- what is missing, or makes no sense ------------------------------------------------------------------------------


FILES = (
    "/proc/self/cgroup",
    "/proc/self/mountinfo",
    f"{CGROUP}/memory.max",
    f"{CGROUP}/memory.current",
    f"{CGROUP}/memory.stat",
)
RUBBISH = (
    b"",
    b"\n",
    b"\0",
    b"-1\n",
    b"1_000\n",
    b"12 34\n",
    b"nonsense\n",
    b"\xff\xfe\x00",
    b"9" * 400,
    b"9" * 5000,
    b"inactive_file\n",
    b"inactive_file -5\n",
    b"0::relative\n",
    b"0::/a/../../etc\n",
    b"::\n:\n0:memory\n",
    b"1 2 0:3 / /sys/fs/cgroup - cgroup2 cgroup\n",
    b"1 2 0:3 / /\0 rw - cgroup2 cgroup rw\n",
)


@pytest.mark.parametrize("file", FILES)
def test_a_missing_file_leaves_the_host_s_figures(tree: Tree, file: str) -> None:
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.remove(file)
    assert message(tree) == HOST_SAYS


@pytest.mark.parametrize("content", RUBBISH)
@pytest.mark.parametrize("file", FILES)
def test_rubbish_leaves_the_host_s_figures(tree: Tree, file: str, content: bytes) -> None:
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.overwrite(file, content)
    assert message(tree) == HOST_SAYS


@pytest.mark.parametrize("file", FILES)
def test_a_file_that_cannot_be_read_leaves_the_host_s_figures(tree: Tree, file: str) -> None:
    # a folder in its place fails for root too
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.remove(file)
    (tree.root / file.lstrip("/")).mkdir()
    assert message(tree) == HOST_SAYS


@pytest.mark.parametrize("file", FILES[2:])
def test_a_broken_group_leaves_the_one_above(tree: Tree, file: str) -> None:
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.process_is_in("0::/inner")
    tree.version_2(f"{CGROUP}/inner", limit=128 * MIB, usage=128 * MIB)
    tree.overwrite(file.replace(CGROUP, f"{CGROUP}/inner"), b"")
    assert message(tree) == "25.0 % of the cgroup's 512 MiB is in use."


def test_a_system_without_proc(tree: Tree) -> None:
    assert message(tree) == HOST_SAYS


@settings(deadline=None)
@given(groups=st.binary(max_size=80), mounts=st.binary(max_size=80))
def test_nothing_that_proc_may_say_raises(
    tmp_path_factory: pytest.TempPathFactory, groups: bytes, mounts: bytes
) -> None:
    tree = Tree(tmp_path_factory.getbasetemp() / "any")
    container(tree, limit=512 * MIB, usage=128 * MIB)
    tree.overwrite("/proc/self/cgroup", b"0::/" + groups)
    tree.overwrite("/proc/self/mountinfo", b"1 2 0:3 /" + mounts + b" rw - cgroup2 cgroup rw\n")
    memory_limits(tree.root)


@pytest.mark.parametrize("error", [OSError("no"), KeyError("MemTotal"), ValueError("no"), psutil.AccessDenied()])
def test_without_any_figures_it_says_so(error: Exception) -> None:
    def refuse() -> Host:
        raise error

    found = MemoryCheck(name="memory", root=Path("/nowhere"), host=refuse).run()
    assert (found.status, found.code) == (HealthStatus.DEGRADED, "unknown")


def test_the_group_is_told_though_the_host_is_unknown(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=128 * MIB)
    assert message(tree, Host(0, 0)) == "25.0 % of the cgroup's 512 MiB is in use."


# --- thresholds ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("used", "status"),
    [
        (0, HealthStatus.HEALTHY),
        (8_500_000, HealthStatus.HEALTHY),
        (8_500_001, HealthStatus.DEGRADED),
        (9_500_000, HealthStatus.DEGRADED),
        (9_500_001, HealthStatus.UNHEALTHY),
        (10_000_000, HealthStatus.UNHEALTHY),
    ],
)
def test_it_changes_above_the_bounds_and_not_at_them(tree: Tree, used: int, status: HealthStatus) -> None:
    assert status_at(used, 10_000_000) is status
    container(tree, limit=10_000_000, usage=used)
    assert MemoryCheck(name="memory", root=tree.root, host=Host).run().status is status


@settings(deadline=None)
@given(
    limit=st.integers(1, 2**60),
    share=st.fractions(0, 1),
    bounds=st.lists(st.integers(0, 100) | st.floats(0, 100), min_size=2, max_size=2).map(sorted),
)
def test_the_bounds_are_exact(limit: int, share: Fraction, bounds: list[float]) -> None:
    used = int(limit * share)
    degraded, unhealthy = (Fraction(bound) * limit / 100 for bound in bounds)
    expected = (
        HealthStatus.UNHEALTHY
        if used > unhealthy
        else HealthStatus.DEGRADED
        if used > degraded
        else HealthStatus.HEALTHY
    )
    found = status_at(used, limit, degraded_above_percent=bounds[0], unhealthy_above_percent=bounds[1])
    assert found is expected


@pytest.mark.parametrize(
    "options",
    [
        {"degraded_above_percent": -1},
        {"unhealthy_above_percent": 100.5},
        {"unhealthy_above_percent": float("nan")},
        {"degraded_above_percent": True},
        {"degraded_above_percent": "85"},
        {"unhealthy_above_percent": None},
    ],
)
def test_a_bound_that_is_no_percentage_is_refused_by_name(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=f"^write {next(iter(options))} as a number from 0 to 100"):
        MemoryCheck(name="memory", **options)


def test_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^write an unhealthy_above_percent that is not below degraded_above_percent"):
        MemoryCheck(name="memory", degraded_above_percent=96)


# --- the whole -------------------------------------------------------------------------------------------------------


def test_it_is_not_critical_and_answers_within_half_a_second() -> None:
    check = MemoryCheck(name="memory")
    assert (check.critical, check.deadline_seconds) == (False, 0.5)


@pytest.mark.parametrize(
    ("size", "words"),
    [(1023, "1023 B"), (1024, "1 KiB"), (1536 * MIB, "1.5 GiB"), (16 * GIB, "16 GiB"), (1024**5, "1 PiB")],
)
def test_sizes_are_told_as_people_say_them(tree: Tree, size: int, words: str) -> None:
    assert message(tree, Host(size, size)) == f"0.0 % of the host's {words} is in use."


def test_this_machine_has_figures_too() -> None:
    assert MemoryCheck(name="memory").run().code in {"cgroup", "cgroup_throttle", "host"}


def test_another_thread_s_instance_looks_at_the_same(tree: Tree) -> None:
    container(tree, limit=512 * MIB, usage=128 * MIB)
    check = MemoryCheck(name="memory", root=tree.root, host=Host)
    assert check.fresh().run() == check.run()


def test_a_run_takes_less_than_a_millisecond(tree: Tree) -> None:
    tree.process_is_in("0::/kubepods/burstable/pod1b/9a")
    tree.mounted(("cgroup2", "/", CGROUP))
    for folder in ("kubepods", "kubepods/burstable", "kubepods/burstable/pod1b", "kubepods/burstable/pod1b/9a"):
        tree.version_2(f"{CGROUP}/{folder}", limit=GIB, usage=512 * MIB)
    check = MemoryCheck(name="memory", root=tree.root)
    # Of the processor's time, and the fastest: whatever else the machine does is not the check's cost.
    assert min(timeit.repeat(check.run, timer=time.thread_time, number=1, repeat=200)) < 0.001
