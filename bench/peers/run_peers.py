#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""limber against PyTorch, ONNX Runtime and OpenVINO on this CPU: the same weights, the same crops, one run, in turns.

    pip install torch transformers onnx onnxruntime openvino [nncf, for its int8]
    python bench/peers/run_peers.py --limber build/limber [--case S B default] [--batch 1 8] [--threads N] [--rounds 12] [--hold]

Cases: ViTPose-S and -B (classic head) with random weights, and the default model. Contestants, each at its best settings:

    limber fp32, bf16, int8  limber bench model --interactive
    torch eager, compiled    fp32 and bf16 (weights converted; torch.compile with weight freezing)
    onnxruntime fp32         all graph optimisations; int8 by dynamic quantisation (it has no bf16 on x86)
    openvino fp32, bf16      latency hint; throughput hint (batch 8 as eight requests in flight)
    openvino int8            quantised by nncf (transformer scheme, 64 random crops), where that is installed

Every contestant's heatmaps are compared with PyTorch's in fp32 before anything is timed; who differs is not timed. Then rounds:
in each, everybody computes the batch a few times, one after the other, in an order that turns; the first call of a turn is not
counted (pools wake up, caches change hands). Ratios are taken within a round, so a machine that slows down slows both sides.
Processor time (of all threads; a pool that spins pays for it) is printed beside the wall's: on a machine that does other work,
`--threads 1` and processor time compare the kernels.
--hold waits for a line on stdin before timing, for whoever wants to quiet the machine first.
"""

import argparse, json, os, statistics, subprocess, sys, tempfile, time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # an idle pool must not spin into the next contestant's turn

import numpy as np
import torch
from transformers import VitPoseForPoseEstimation

from common import MEAN, STD, cpus, machine, make_checkpoint, ratio, spread

TOLERANCE = {"fp32": 1e-3, "bf16": 0.1, "int8": 0.5}  # of the heatmaps' spread


class Heatmaps(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, x):
        return self.model(x).heatmaps


class Limber:
    def __init__(self, command, path, precision, crops, threads, folder):
        self.name, self.precision = "limber", precision
        crops_file, self.heat = os.path.join(folder, "crops"), os.path.join(folder, f"heat-{precision}")
        crops.tofile(crops_file)
        self.batch = len(crops)
        self.process = subprocess.Popen(
            [command, "bench", "model", "--interactive", "--model", path, "--backend", "cpu", "--precision", precision, "--batches",
             str(self.batch), "--threads", str(threads), "--crops", crops_file, "--heatmaps", self.heat],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if not self.process.stdout.readline().startswith("ready"):
            raise RuntimeError("limber did not start")

    def output(self):
        return np.fromfile(self.heat, np.float32)

    def times(self, n):
        self.process.stdin.write(f"{n}\n")
        self.process.stdin.flush()
        v = [float(v) for v in self.process.stdout.readline().split()]
        return list(zip(v[::2], v[1::2]))

    def close(self):
        self.process.stdin.close()
        self.process.wait()


class Called:
    """Anything that is a function of pixel values."""

    def __init__(self, name, precision, call):
        self.name, self.precision, self.call = name, precision, call

    def output(self):
        return np.asarray(self.call(), np.float32).reshape(-1)

    def times(self, n):
        out = []
        for _ in range(n):
            start, cpu = time.perf_counter(), time.process_time()
            self.call()
            out.append((time.perf_counter() - start, time.process_time() - cpu))
        return out

    def close(self):
        self.call = None


def torch_contestants(model, x, compiled):
    for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        m = Heatmaps(VitPoseForPoseEstimation(model.config).eval().to(dtype))
        m.model.load_state_dict(model.state_dict())
        for p in m.parameters():
            p.requires_grad_(False)
        data = x.to(dtype)

        def call(m=m, data=data):
            with torch.inference_mode():
                return m(data).float().numpy()

        yield Called("torch eager", precision, call)
        if compiled:
            import torch._inductor.config as inductor

            inductor.freezing = True
            fast = torch.compile(m)

            def call_fast(m=fast, data=data):
                with torch.no_grad():
                    return m(data).float().numpy()

            yield Called("torch compiled", precision, call_fast)


def onnx_contestants(model, x, threads, folder):
    import onnxruntime as ort

    path = os.path.join(folder, "model.onnx")
    torch.onnx.export(Heatmaps(model), (x,), path, input_names=["x"], output_names=["y"], dynamo=False, opset_version=17)
    files = [("fp32", path)]
    try:
        from onnxruntime.quantization import QuantType, quantize_dynamic

        small = os.path.join(folder, "int8.onnx")
        quantize_dynamic(path, small, weight_type=QuantType.QInt8, op_types_to_quantize=["MatMul", "Gemm"], per_channel=True)
        files.append(("int8", small))
    except Exception as e:
        print(f"  onnxruntime int8: {type(e).__name__}: {e}", file=sys.stderr)
    feed = {"x": x.numpy()}
    for precision, file in files:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_ALL
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        yield Called("onnxruntime", precision, lambda session=session: session.run(None, feed)[0])


def openvino_contestants(model, x, threads):
    import openvino as ov

    core = ov.Core()
    small = None
    try:
        import nncf

        one = ov.convert_model(Heatmaps(model), example_input=x[:1], input=[[-1, *x.shape[1:]]])
        data = np.random.default_rng(4).integers(0, 256, (64, 1, 256, 192, 3), np.uint8)
        data = [((d.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy() for d in data]
        small = nncf.quantize(one, nncf.Dataset(data), model_type=nncf.ModelType.TRANSFORMER, subset_size=64)
    except Exception as e:
        print(f"  openvino int8: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)
    for hint in ("LATENCY", "THROUGHPUT"):
        each = 1 if hint == "THROUGHPUT" else len(x)
        if hint == "THROUGHPUT" and len(x) == 1:
            continue  # one request: the hint has nothing to overlap
        graph = ov.convert_model(Heatmaps(model), example_input=x[:each], input=[list(x[:each].shape)])
        parts = [x[i : i + each].numpy() for i in range(0, len(x), each)]
        for precision, kind in (("fp32", "f32"), ("bf16", "bf16"), ("int8", "bf16")): # int8 where it was quantised, bf16 between
            if precision == "int8":
                if small is None:
                    continue
                small.reshape([each, *x.shape[1:]])
            compiled = core.compile_model(small if precision == "int8" else graph, "CPU", {
                "PERFORMANCE_HINT": hint, "INFERENCE_PRECISION_HINT": kind, "INFERENCE_NUM_THREADS": threads})
            if hint == "LATENCY":
                request = compiled.create_infer_request()

                def call(request=request, parts=parts):
                    request.infer({0: parts[0]}, share_inputs=True)
                    return request.get_output_tensor(0).data
            else:
                queue = ov.AsyncInferQueue(compiled)
                heat = np.empty((len(x), *compiled.output(0).shape[1:]), np.float32)
                queue.set_callback(lambda r, i, heat=heat: heat.__setitem__(i, r.get_output_tensor(0).data[0]))

                def call(queue=queue, heat=heat, parts=parts):
                    for i, part in enumerate(parts):
                        queue.start_async({0: part}, i, share_inputs=True)
                    queue.wait_all()
                    return heat
            yield Called(f"openvino {hint.lower()}", precision, call)


def contestants(args, path, model, crops, folder):
    x = torch.from_numpy(((crops.astype(np.float32) / 255 - MEAN) / STD).transpose(0, 3, 1, 2).copy())
    for precision in ("fp32", "bf16", "int8"):
        try:
            yield Limber(args.limber, path, precision, crops, args.threads, folder)
        except RuntimeError as e:
            print(f"  limber {precision}: {e}", file=sys.stderr)
    makers = {"torch": lambda: torch_contestants(model, x, not args.no_compile), "onnxruntime": lambda: onnx_contestants(model, x, args.threads, folder),
              "openvino": lambda: openvino_contestants(model, x, args.threads)}
    for name, make in makers.items():
        if name in args.without:
            continue
        try:
            yield from make()
        except Exception as e:  # a peer that is not installed or cannot load the model is said, not fatal
            print(f"  {name}: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)


def verified(everybody):
    """Keeps those whose heatmaps are PyTorch's."""
    truth = next(c for c in everybody if (c.name, c.precision) == ("torch eager", "fp32")).output()
    spread, kept = truth.std(), []
    for c in everybody:
        try:
            got = c.output()
        except Exception as e:
            print(f"  {c.name} {c.precision}: {type(e).__name__}: {str(e)[:300]}", file=sys.stderr)
            continue
        c.off = float(np.sqrt(np.mean((got - truth) ** 2)) / spread)
        if c.off <= TOLERANCE[c.precision]:
            kept.append(c)
        else:
            print(f"  {c.name} {c.precision}: heatmaps off by {c.off:.2g} of their spread, not timed", file=sys.stderr)
    return kept


def rounds(everybody, count, calls):
    turns = {id(c): [] for c in everybody}
    for r in range(count):
        k = r % len(everybody)
        for c in everybody[k:] + everybody[:k]:
            wall, cpu = zip(*c.times(calls + 1)[1:])
            turns[id(c)].append((statistics.median(wall), statistics.median(cpu)))
    for c in everybody:
        c.turns, c.cpu = zip(*turns[id(c)])


def times(ratios):
    return " ".join(f"{ratios.get(p, float('nan')):>6.2f}" for p in ("fp32", "bf16", "int8"))


def report(case, batch, everybody, rows):
    ours = {c.precision: c for c in everybody if c.name == "limber"}
    print(f"\n{case}, batch {batch}: ms per person, median over rounds (10th to 90th percentile); ratios: that contestant / limber, "
          "medians over rounds\n")
    print(f"  {'':<28} {'wall clock':>27} {'':>8} {'/ limber':^20}   {'processor':>9} {'/ limber':^20}")
    print(f"  {'':<22} {'':<5} {'median':>9} {'p10':>9} {'p90':>9} {'off':>8} {'fp32':>6} {'bf16':>6} {'int8':>6}   {'median':>9} {'fp32':>6} {'bf16':>6} {'int8':>6}")
    for c in sorted(everybody, key=lambda c: statistics.median(c.turns)):
        median, p10, p90 = spread([1e3 * t / batch for t in c.turns])
        wall = {p: ratio(c.turns, ours[p].turns) for p in ours}
        cpu = {p: ratio(c.cpu, ours[p].cpu) for p in ours}
        cpu_ms = 1e3 * statistics.median(c.cpu) / batch
        print(f"  {c.name:<22} {c.precision:<5} {median:>9.2f} {p10:>9.2f} {p90:>9.2f} {c.off:>8.1e} "
              f"{times(wall)}   {cpu_ms:>9.2f} {times(cpu)}")
        rows.append(dict(case=case, batch=batch, name=c.name, precision=c.precision, median_ms=median, p10_ms=p10,
                         p90_ms=p90, off=c.off, ratio=wall, cpu_ms=cpu_ms, cpu_ratio=cpu))
    sys.stdout.flush()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--limber", required=True)
    parser.add_argument("--case", nargs="+", default=["S", "B", "default"], choices=["S", "B", "L", "default"])
    parser.add_argument("--batch", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--threads", type=int, default=cpus())
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--calls", type=int, default=3, help="counted calls in a turn")
    parser.add_argument("--no-compile", action="store_true", help="leave torch.compile out")
    parser.add_argument("--without", nargs="*", default=[], choices=["torch", "onnxruntime", "openvino"])
    parser.add_argument("--hold", action="store_true", help="wait for a line on stdin before timing")
    parser.add_argument("--json", help="the rows, once more")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    import onnxruntime, openvino, transformers

    with tempfile.TemporaryDirectory() as folder:
        fields = []
        for case in args.case:
            path, model = make_checkpoint(case, folder)
            for batch in args.batch:
                own = os.path.join(folder, f"{case}-{batch}")
                os.makedirs(own)
                crops = np.random.default_rng(3).integers(0, 256, (batch, 256, 192, 3), np.uint8)
                everybody = verified(list(contestants(args, path, model, crops, own)))
                for c in everybody:
                    c.times(2)  # compiled, warm
                fields.append((case, batch, everybody))
                print(f"ready: {case}, batch {batch}, {len(everybody)} contestants", file=sys.stderr, flush=True)
        if args.hold:
            print("everything is compiled and verified; a line on stdin starts the timing", flush=True)
            sys.stdin.readline()
        print(f"{machine()}, {args.threads} threads, load {os.getloadavg()[0]:.1f}\ntorch {torch.__version__}, transformers "
              f"{transformers.__version__}, onnxruntime {onnxruntime.__version__}, openvino {openvino.__version__}")
        rows, started = [], time.time()
        for case, batch, everybody in fields:
            rounds(everybody, args.rounds, args.calls)
            report(case, batch, everybody, rows)
        print(f"\ntimed in {time.time() - started:.0f} s, load {os.getloadavg()[0]:.1f} at the end")
        for _, _, everybody in fields:
            for c in everybody:
                c.close()
    if args.json:
        json.dump(dict(machine=machine(), threads=args.threads, rows=rows), open(args.json, "w"), indent=1)


if __name__ == "__main__":
    main()
