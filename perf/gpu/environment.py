"""What the machine is and which of the optional engines really work on it: each is tried, not looked up."""

from __future__ import annotations

import argparse
import functools
import importlib.metadata
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from gpu.parts import Row, write_rows

PACKAGES = ("torch", "transformers", "peft", "accelerate", "trl", "datasets", "numpy")
Check = Callable[[str], str]


def machine(device: str) -> str:
    """Cores, memory and the driver."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    said = f"{len(os.sched_getaffinity(0))} CPU cores, {memory:.0f} GiB"
    if device == "cpu":
        return said
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        said += "; " + subprocess.run(query, capture_output=True, text=True, check=True, timeout=15).stdout.strip()
    except (OSError, subprocess.SubprocessError) as error:
        said += f"; nvidia-smi: {error}"
    total, major = torch.cuda.get_device_properties(0).total_memory / 2**30, torch.cuda.get_device_capability()
    return f"{said}; {total:.1f} GiB, compute capability {major[0]}.{major[1]}, CUDA {torch.version.cuda}"


def packages(_: str) -> str:
    found = []
    for name in PACKAGES:
        try:
            found.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            found.append(f"no {name}")
    return ", ".join(found)


def products(device: str) -> str:
    """The rate of a large bfloat16 product of matrices: what a step's arithmetic can reach."""
    side = 8192 if device == "cuda" else 256
    left, right = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    seconds = timed(lambda: left @ right, device)
    return f"{2 * side**3 / seconds / 1e12:.3g} TFLOP/s in bfloat16 at {side}"


def copies(device: str) -> str:
    """The rates of a copy on the device and of one to it from pinned and from pageable memory."""
    count = 2**30 if device == "cuda" else 2**22
    source = torch.ones(count, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    said = f"{2 * count / timed(lambda: target.copy_(source), device) / 1e9:.4g} GB/s on the device, read and written"
    if device == "cpu":
        return said
    host = torch.ones(count, dtype=torch.uint8)
    pinned = host.pin_memory()
    rates = [count / timed(functools.partial(target.copy_, each), device) / 1e9 for each in (pinned, host)]
    return f"{said}; {rates[0]:.3g} GB/s from pinned, {rates[1]:.3g} from pageable memory"


def bf16(device: str) -> str:
    if device == "cpu":
        return "on the CPU"
    return "in hardware" if torch.cuda.is_bf16_supported(including_emulation=False) else "emulated"


def triton(device: str) -> str:
    """A kernel that torch.compile makes by way of Triton."""
    wave = torch.compile(lambda x: torch.sin(x) * 2 + 1)
    given = torch.linspace(0, 1, 1024, device=device)
    torch.testing.assert_close(wave(given), torch.sin(given) * 2 + 1)
    return f"triton {importlib.metadata.version('triton')}"


def flex(device: str) -> str:
    """FlexAttention, compiled, with its backward."""
    from torch.nn.attention.flex_attention import create_block_mask, flex_attention

    mask = create_block_mask(lambda b, h, q, k: q >= k, None, None, 256, 256, device=device)
    queries, keys, values = (
        torch.randn(1, 2, 256, 64, device=device, dtype=torch.bfloat16, requires_grad=True) for _ in range(3)
    )
    out: Any = torch.compile(flex_attention)(queries, keys, values, block_mask=mask)
    out.sum().backward()
    plain = torch.nn.functional.scaled_dot_product_attention(queries, keys, values, is_causal=True)
    return f"largest difference from sdpa {(out - plain).abs().max().item():.1e}"


def flash(device: str) -> str:
    from flash_attn import flash_attn_func

    given = [torch.randn(1, 64, 2, 64, device=device, dtype=torch.bfloat16) for _ in range(3)]
    flash_attn_func(*given, causal=True)
    return f"flash_attn {importlib.metadata.version('flash_attn')}"


def nf4(device: str) -> str:
    import bitsandbytes

    layer = bitsandbytes.nn.Linear4bit(64, 64, compute_dtype=torch.bfloat16, quant_type="nf4").to(device)
    layer(torch.randn(2, 64, device=device, dtype=torch.bfloat16))
    return f"bitsandbytes {bitsandbytes.__version__}"


def deepspeed(_: str) -> str:
    import deepspeed as found

    return f"deepspeed {found.__version__}"


def timed(work: Callable[[], Any], device: str, times: int = 10) -> float:
    """Median seconds of ``work`` after three warm-ups, by CUDA events on a GPU."""
    for _ in range(3):
        work()
    found: list[float] = []
    for _ in range(times):
        if device == "cuda":
            start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            start.record()
            work()
            end.record()
            end.synchronize()
            found.append(start.elapsed_time(end) / 1000)
        else:
            began = time.perf_counter()
            work()
            found.append(time.perf_counter() - began)
    return sorted(found)[len(found) // 2]


CHECKS: dict[str, Check] = {
    "machine": machine,
    "packages": packages,
    "matrix product": products,
    "copies": copies,
    "bfloat16": bf16,
    "deepspeed": deepspeed,
    "4-bit weights": nf4,
    "flash-attn": flash,
    "triton": triton,
    "flex attention": flex,
}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--work", type=Path)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--toy", action="store_true")
    options = parser.parse_args()
    device, rows = "cpu" if options.toy else "cuda", list[Row]()
    for name, check in CHECKS.items():
        if options.toy and check in (triton, flex):  # their compilation alone takes longer than all the rest
            rows.append({"what": name, "works": "not tried with --toy", "": ""})
            continue
        try:
            rows.append({"what": name, "works": "yes", "": check(device)})
        except Exception as error:  # of code that is not ours, on a machine that nobody here has seen
            rows.append({"what": name, "works": "no", "": f"{type(error).__name__}: {error}"[:300]})
        write_rows(options.out, rows)


if __name__ == "__main__":
    main()
