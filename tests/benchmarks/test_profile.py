"""The profile: every moment and every operation counted once, and the sums and shares that are made of them."""

import pytest
import torch
from click.testing import CliRunner
from torch.autograd import DeviceType
from torch.profiler import ProfilerActivity
from torch.profiler import profile as torch_profile

from benchmarks.harness.report import Report, read_report
from benchmarks.kinds import KINDS, kind_of, seconds_by_kind
from benchmarks.measures import profile as benchmark
from benchmarks.measures.profile import STEP, UNATTRIBUTED, convolution_rates, gflop_per_call, profiled
from benchmarks.profile import main
from benchmarks.subjects import INFERENCE, TrainingPhases
from tests.benchmarks.refusals import assert_refused
from tests.benchmarks.small import small_config
from torch_utils import ops
from training.cost.summary import _CountFlops

CPU = torch.device("cpu")
INTERVALS = {"G_main": 1, "G_path": 4, "D_main": 1, "D_r1": 16}


@pytest.fixture(scope="module")
def bench() -> TrainingPhases:
    return TrainingPhases(small_config(ops="native"))


# ---- kinds


@pytest.mark.parametrize("name, kind", [
    ("aten::mkldnn_convolution", "convolutions"),
    ("aten::_slow_conv2d_forward", "convolutions"),
    ("aten::convolution_backward", "convolutions"),
    ("aten::addmm", "matrix products"),
    ("steergan::upfirdn2d", "upfirdn2d"),
    ("steergan::bias_act_grad", "bias_act"),
    ("steergan::winograd", "convolutions"),
    ("steergan::winograd_up", "convolutions"),
    ("steergan::something_new", "allocation, other"),
    ("GeneratedBackwardFor_steergan_bias_act_default", "bias_act"),
    ("aten::leaky_relu_backward", "bias_act"),
    ("aten::add_", "elementwise"),
    ("aten::rsqrt", "elementwise"),
    ("aten::normal_", "elementwise"),
    ("aten::sum", "reductions"),
    ("aten::linalg_vector_norm", "reductions"),
    ("aten::copy_", "copies and layout"),
    ("aten::_to_copy", "copies and layout"),
    ("aten::flip", "copies and layout"),
    ("aten::_fused_adam_", "optimiser"),
    ("Optimizer.step#Adam.step", "optimiser"),
    ("aten::empty_strided", "allocation, other"),
    ("aten::_convert_indices_from_coo_to_csr", "allocation, other"),
    ("autograd::engine::evaluate_function: GeneratedBackwardFor_steergan_bias_act_defaultBackward",
     "allocation, other"),
    ("cudaLaunchKernel", "allocation, other"),
])  # fmt: skip
def test_kinds_by_name(name, kind):
    assert kind_of(name) == kind


@pytest.mark.parametrize("name, shapes, kind", [
    ("aten::mkldnn_convolution", [[4, 64, 9, 9], [64, 1, 1, 4], []], "upfirdn2d"),
    ("aten::mkldnn_convolution", [[4, 64, 9, 9], [64, 64, 3, 3], []], "convolutions"),
    ("aten::mkldnn_convolution", [[4, 1, 9, 9], [64, 1, 3, 3], []], "convolutions"),  # of grey images
    ("aten::convolution_backward", [[4, 64, 9, 9], [4, 64, 9, 9], [64, 1, 1, 4]], "upfirdn2d"),
    ("aten::convolution_backward", [[4, 64, 9, 9], [4, 1, 9, 9], [64, 1, 3, 3]], "convolutions"),
])
def test_filters_of_each_channel_are_no_networks_convolutions(name, shapes, kind):
    assert kind_of(name, shapes) == kind


@pytest.mark.parametrize("part", ["D_r1", INFERENCE])
def test_kinds_sum_to_the_wall_time(bench, part, monkeypatch):
    seen = []
    seconds = TrainingPhases.seconds
    monkeypatch.setattr(TrainingPhases, "seconds", lambda *a: seen.append(seconds(*a)) or seen[-1])
    kinds = profiled(bench, part)
    assert list(kinds) == [*KINDS, UNATTRIBUTED]
    assert sum(kinds.values()) == pytest.approx(seen[0])
    assert min(kinds.values()) >= 0  # none of it twice, or less than nothing would be left over
    assert min(kinds[kind] for kind in ("convolutions", "matrix products", "upfirdn2d", "bias_act")) > 0
    assert (kinds["optimiser"] > 0) == (part != INFERENCE)
    assert kinds[UNATTRIBUTED] + kinds["allocation, other"] < seen[0] * 0.9


def test_rows_within_rows_count_once(bench):
    with torch_profile(activities=[ProfilerActivity.CPU], record_shapes=True) as watched:
        bench.seconds("G_path")  # with second derivatives
    calls = [call for call in watched.events() if call.device_type == DeviceType.CPU]
    outermost = sum(call.time_range.elapsed_us() for call in calls if call.cpu_parent is None)
    spent = seconds_by_kind(calls, CPU)
    assert spent.total() == pytest.approx(outermost / 1e6, rel=1e-6)
    assert min(call.self_cpu_time_total for call in calls) > -1e-3
    optimiser = next(call for call in calls if call.name.startswith("Optimizer.step"))
    assert spent["optimiser"] >= optimiser.time_range.elapsed_us() / 1e6 * 0.999  # with all that it calls


# ---- operations


def test_operations_are_those_that_a_call_makes():
    config = small_config(ops="pytorch", batch_gpu=1)  # two passes
    bench = TrainingPhases(config)
    counted = {}
    for part, run in bench.parts.items():
        # In inference mode operators are not taken apart into those that have a count.
        run = run if part != INFERENCE else lambda: bench.state.G_ema(bench.z, bench.labels, bench.layout)
        with _CountFlops() as counter:
            run()
        counted[part] = counter.flops / 1e9
    assert gflop_per_call(config) == pytest.approx(counted)
    with ops.use("reference"):
        assert gflop_per_call(config) == pytest.approx(counted)  # more operations to the same end do not count


def test_rates_are_operations_by_seconds(monkeypatch):
    monkeypatch.setattr(benchmark, "seconds_of_short", lambda run, device: run() is None or 0.5)
    found = convolution_rates(small_config(), CPU)
    assert [(each["channels"], each["resolution"], each["dtype"]) for each in found] == [
        (8, 32, "float32"), (8, 16, "float32"), (8, 8, "float32"), (8, 4, "float32")
    ]
    for each in found:
        rate = 2 * 9 * 2 * 8 * 8 * each["resolution"] ** 2 / 0.5 / 1e9
        assert (each["nchw"], each["channels_last"]) == pytest.approx((rate, rate))


def test_convolutions_are_of_the_type_that_the_networks_have_there(monkeypatch):
    monkeypatch.setattr(benchmark, "seconds_of_short", lambda run, device: 1.0)
    config = small_config()
    half = config.discriminator.model_copy(update={"num_fp16_res": 2, "half_type": "bfloat16", "channel_max": 4})
    found = convolution_rates(config.model_copy(update={"discriminator": half}), CPU)
    assert [(each["channels"], each["dtype"]) for each in found] == [
        (8, "float32"), (4, "bfloat16"), (8, "float32"), (4, "bfloat16"), *[(8, "float32"), (4, "float32")] * 2
    ]


# ---- the report


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> tuple[Report, str]:
    """The report and what is printed, of a small run where the machine computes 10 GFLOP/s at best."""
    path = tmp_path_factory.mktemp("profile") / "new" / "profile.json"
    rates = {"channels": 8, "resolution": 32, "dtype": "float32", "nchw": 5.0, "channels_last": 10.0}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(benchmark, "convolution_rates", lambda config, device: [rates])
        patch.setattr(benchmark, "product_rate", lambda device, dtype: 20e9)
        patch.setattr(benchmark, "resolved", lambda *_: small_config())
        patch.setattr(benchmark, "profiled", lambda bench, part: {
            kind: len(part) + i for i, kind in enumerate((*KINDS, UNATTRIBUTED))
        })
        result = CliRunner().invoke(main, ["--device=cpu", "--batch=2", "--quick", f"--json={path}"])
    assert result.exit_code == 0, result.output
    return read_report(path), result.output


def test_a_step_has_each_phase_as_often_as_it_runs(run):
    series, phases, step = run[0].series["spatialgan"], run[0].facts["phases"], run[0].facts["step"]
    assert list(series) == [*INTERVALS, INFERENCE, STEP]
    assert list(phases) == [*INTERVALS, INFERENCE]
    for number in range(2):
        spent = sum(series[name].samples[number] / every for name, every in INTERVALS.items()) / 2
        assert series[STEP].samples[number] == pytest.approx(spent, rel=1e-5)
    assert step["gflop"] == pytest.approx(sum(phases[name]["gflop"] / every for name, every in INTERVALS.items()) / 2)
    for kind in (*KINDS, UNATTRIBUTED):
        parts = (phases[name]["kinds"][kind] / every for name, every in INTERVALS.items())
        assert step["kinds"][kind] == pytest.approx(sum(parts) / 2)


def test_shares_are_of_the_best_convolution(run):
    report, output = run
    facts, series = report.facts, report.series["spatialgan"]
    assert facts.keys() == {"conv_gflops", "product_gflops", "convolutions", "phases", "step"}
    assert (facts["conv_gflops"], facts["product_gflops"]) == (10, 20)
    for name, entry in (facts["phases"] | {STEP: facts["step"]}).items():
        assert entry.keys() == {"gflop", "gflops", "share", "kinds"}
        assert entry["gflops"] == pytest.approx(entry["gflop"] / series[name].median)
        assert entry["share"] == pytest.approx(entry["gflops"] / 10)
    step = next(line for line in output.splitlines() if line.startswith("a training step, an image"))
    assert step.split()[-1] == f"{facts['step']['share']:.1%}"
    assert "the best, which counts: 10.0; a matrix product: 20.0" in output
    assert "D_r1, s a call (profiled)" in output


def test_the_table_is_sorted_and_its_shares_are_of_the_sum():
    kinds = {"convolutions": 1.0, "elementwise": 3.0, "reductions": 0.0}
    lines = benchmark._kind_lines("G_main", {"kinds": kinds}, "s a call")
    assert [line.split() for line in lines[1:]] == [
        ["elementwise", "3.0000", "75.0%"], ["convolutions", "1.0000", "25.0%"]
    ]


@pytest.mark.parametrize("arguments, text", [
    (["--ops=natve"], "should be 'auto', 'native', 'direct', 'pytorch' or 'reference'"),
    (["--method=stylegan3"], "did you mean"),
    (["--cfg=paper265"], "did you mean 'paper256'"),
    (["--res=48"], "power of two"),
    (["--batch=0"], "--batch"),
    (["--device=gpu"], "use auto, cpu or cuda"),
])
def test_refusals(arguments, text):
    assert_refused(main, arguments, text)
