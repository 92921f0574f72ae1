"""The built modules hold instructions above the baseline only where a tier owns the code."""

import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from mlopt._kernels import core

pytestmark = [
    pytest.mark.no_sanitizer,  # whose checks stand between the instructions
    pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="reads x86-64 mnemonics"),
    pytest.mark.skipif(shutil.which("objdump") is None, reason="objdump is not installed"),
]

CORE = Path(core.__file__)
ROOT = CORE.parent.parent if CORE.parent.name == "_kernels" else CORE.parent
TIERS = ("reference", "generic", "avx2_vnni", "avx2", "avx512_vnni", "avx512_bf16", "avx512")
SUFFIX = re.compile(r"_(" + "|".join(TIERS) + r")(\.\w+)*$")
# VEX and EVEX encodings all begin with v; BMI2 and MOVBE have no prefix to know them by
AVX = re.compile(r"^(v(?!err|erw|erb)|bzhi|mulx|pdep|pext|rorx|sarx|shlx|shrx|andn$|movbe)")
AVX512 = re.compile(r"%zmm|%[xy]mm(1[6-9]|2\d|3[01])\b|%k[0-7]|\{%k[0-7]\}")
INSTRUCTION = re.compile(r"^\s*([0-9a-f]+):\t(?:\{\w+\} )?(\S+)\s*(.*)$")  # after {vex}, where that is said
PRODUCTS = ("vfm", "vpdp", "vpmadd", "vdpbf16")
FUNCTION = re.compile(r"^([0-9a-f]+) <(.+)>:$")


def functions(module):
    """Name -> [(address, mnemonic, operands)], in the order of addresses."""
    text = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", str(module)], capture_output=True, text=True, check=True
    ).stdout
    result, current = [], None
    for line in text.splitlines():
        if match := FUNCTION.match(line):
            current = []
            result.append((match[2], current))
        elif current is not None and (match := INSTRUCTION.match(line)):
            current.append((int(match[1], 16), match[2], match[3].split("#")[0].split("<")[0].strip()))
    return result


@pytest.fixture(scope="module")
def core_functions():
    result = functions(CORE)
    if not any(SUFFIX.search(name) for name, _ in result):
        pytest.skip("the module is stripped of its symbols")
    return result


def level(tier):
    return 2 if tier.startswith("avx512") else 1 if tier.startswith("avx2") else 0


def above(instructions, allowed):
    """The instructions of a higher level than allowed."""
    return [
        f"{mnemonic} {operands}"
        for _, mnemonic, operands in instructions
        if (allowed < 2 and AVX512.search(operands)) or (allowed < 1 and AVX.match(mnemonic))
    ]


def test_tier_instructions_only_in_tier_functions(core_functions):
    names = [name for name, _ in core_functions]
    tiers = [match[1] if (match := SUFFIX.search(name)) else None for name in names]
    used = {0: 0, 1: 0, 2: 0}
    for i, (name, instructions) in enumerate(core_functions):
        if tiers[i]:
            allowed = level(tiers[i])
        elif re.match(r"(f32|f64|i32|int8|bf16)_", name):
            # a static function of a kernel source: it lies between functions of its own object
            before = next((t for t in reversed(tiers[:i]) if t), "generic")
            after = next((t for t in tiers[i:] if t), "generic")
            allowed = max(level(before), level(after))
        else:
            allowed = 0
        assert not above(instructions, allowed), f"{name} may not use {above(instructions, allowed)[:3]}"
        used[allowed] += bool(above(instructions, 0))
    assert used[1] > 20, "no AVX2 kernels found: is the test looking at the right module?"
    assert used[2] > 20, "no AVX-512 kernels found: is the test looking at the right module?"


def modules():
    return [path for path in sorted(ROOT.rglob("*.so")) if path.resolve() != CORE.resolve()]


@pytest.mark.parametrize("module", modules(), ids=lambda path: path.name.split(".")[0])
def test_other_modules_are_baseline(module):
    for name, instructions in functions(module):
        assert not above(instructions, 0), f"{name} may not use {above(instructions, 0)[:3]}"


def innermost_loop(instructions):
    """The instructions of the backward jump's loop that has the most multiplications."""
    index = {address: i for i, (address, _, _) in enumerate(instructions)}
    loops = []
    for i, (address, mnemonic, operands) in enumerate(instructions):
        if mnemonic.startswith("j") and re.fullmatch(r"[0-9a-f]+", operands):
            target = int(operands, 16)
            if target <= address and target in index:
                loops.append(instructions[index[target] : i + 1])
    inner = [a for a in loops if not any(b is not a and b[0][0] >= a[0][0] and b[-1][0] < a[-1][0] for b in loops)]
    return max(inner, key=lambda loop: sum(m.startswith(PRODUCTS) for _, m, _ in loop), default=[])


@pytest.mark.parametrize(
    ("tier", "tile", "register", "accumulators", "cut"),
    [("avx512", "8x3", "zmm", 24, "CUT"), ("avx2", "4x3", "ymm", 12, "PADDED")],
)
@pytest.mark.parametrize(("type", "letter"), [("f32", "s"), ("f64", "d")])
@pytest.mark.parametrize("order", ["BY_ROWS", "BY_COLUMNS"])
@pytest.mark.parametrize("edge", ["FULL", "cut"])
def test_the_loop_of_the_product(core_functions, tier, tile, register, accumulators, cut, type, letter, edge, order):
    source = cut if edge == "cut" else edge
    name = f"mlopt_tile_{tile}_{source}_{order}_{type}_{tier}"
    instructions = next((body for function, body in core_functions if function == name), None)
    assert instructions, f"{name} is not there"
    loop = innermost_loop(instructions)
    products = [o for _, m, o in loop if m == f"vfmadd231p{letter}" and register in o]
    assert products, f"no vfmadd231p{letter} on {register} in the loop of {name}"
    assert len(products) % accumulators == 0, len(products)
    assert len({o.split(",")[-1] for o in products}) == accumulators, "an accumulator has no register of its own"
    spills = [f"{m} {o}" for _, m, o in loop if register in o and re.search(r"\(%r[sb]p", o)]
    stores = [f"{m} {o}" for _, m, o in loop if register in o and o.endswith(")")]
    assert not spills
    assert not stores


@pytest.mark.parametrize("order", ["BY_ROWS", "BY_COLUMNS"])
def test_the_loop_of_the_product_of_bfloat16(core_functions, order):
    name = f"mlopt_tile_8x3_{order}_bf16_avx512_bf16"
    instructions = next((body for function, body in core_functions if function == name), None)
    if not any(tier["name"] == "avx512_bf16" and tier["built"] for tier in core.tier_report()):
        pytest.skip("the compiler knows no VDPBF16PS")
    assert instructions, f"{name} is not there"
    loop = innermost_loop(instructions)
    products = [o for _, m, o in loop if m == "vdpbf16ps" and "zmm" in o]
    assert products, f"no vdpbf16ps in the loop of {name}"
    assert len(products) % 24 == 0, len(products)
    assert len({o.split(",")[-1] for o in products}) == 24, "an accumulator has no register of its own"
    spills = [f"{m} {o}" for _, m, o in loop if "zmm" in o and re.search(r"\(%r[sb]p", o)]
    stores = [f"{m} {o}" for _, m, o in loop if "zmm" in o and o.endswith(")")]
    assert not spills
    assert not stores


@pytest.mark.parametrize(("type", "letter", "lanes"), [("f32", "s", 16), ("f64", "d", 8)])
@pytest.mark.parametrize("vectors", range(1, 9))
def test_the_loop_of_a_packed_layer(core_functions, type, letter, lanes, vectors):
    name = f"mlopt_packed_vectors_{vectors}_{type}_avx512"
    instructions = next((body for function, body in core_functions if function == name), None)
    assert instructions, f"{name} is not there"
    loop = innermost_loop(instructions)
    products = [o for _, m, o in loop if re.fullmatch(rf"vfmadd\d+p{letter}", m) and "zmm" in o]
    assert len(products) == lanes * vectors, "a step for every lane of the inputs, a product for every vector"
    assert all("(" in o for o in products), "weights are read by the products themselves"
    assert not [f"{m} {o}" for _, m, o in instructions if "zmm" in o and re.search(r"\(%r[sb]p", o)], "spills"


def spills(loop):
    return [f"{m} {o}" for _, m, o in loop if re.search(r"mm\d", o) and re.search(r"\(%r[sb]p", o)]


@pytest.mark.parametrize(
    ("tier", "tile", "product", "register", "accumulators", "products"),
    [
        ("avx512_vnni", "8x3", "vpdpbusd", "zmm", 24, 24),
        ("avx512", "8x2", "vpmaddwd", "zmm", 16, 32),
        ("avx2_vnni", "4x3", "vpdpbusd", "ymm", 12, 12),
        ("avx2", "4x2", "vpmaddwd", "ymm", 8, 16),
    ],
)
def test_the_loop_of_products_of_bytes(core_functions, tier, tile, product, register, accumulators, products):
    name = f"mlopt_tile_{tile}_s8_{tier}"
    instructions = next((body for function, body in core_functions if function == name), None)
    if instructions is None and tier.endswith("vnni"):
        pytest.skip(f"the compiler does not know {tier}")
    assert instructions, f"{name} is not there"
    loop = innermost_loop(instructions)
    found = [o for _, m, o in loop if m == product and register in o]
    assert len(found) == products
    sums = found if product == "vpdpbusd" else [o for _, m, o in loop if m == "vpaddd" and register in o]
    assert len({o.split(",")[-1] for o in sums}) >= accumulators, "an accumulator has no register of its own"
    assert not spills(loop)
    assert not [f"{m} {o}" for _, m, o in loop if register in o and o.endswith(")")], "stores"


def test_no_product_of_bytes_saturates(core_functions):
    """vpmaddubsw adds two products in 16 bits."""
    assert sum("_s8_" in name for name, _ in core_functions) > 20
    for name, instructions in core_functions:
        assert not [m for _, m, _ in instructions if "maddubs" in m], name


@pytest.mark.parametrize(
    ("tier", "product", "products"),
    [
        ("avx512_vnni", "vpdpbusd", 12),
        ("avx512", "vpmaddwd", 24),
        ("avx2_vnni", "vpdpbusd", 12),
        ("avx2", "vpmaddwd", 24),
    ],
)
def test_the_limit_loop_of_bytes(core_functions, tier, product, products):
    """Every product is computed, not once for all: the loop is what other kernels are measured against."""
    name = f"mlopt_limit_int8_s8_{tier}"
    instructions = next((body for function, body in core_functions if function == name), None)
    if instructions is None and tier.endswith("vnni"):
        pytest.skip(f"the compiler does not know {tier}")
    loop = innermost_loop(instructions)
    assert sum(m == product for _, m, _ in loop) == products
    if product == "vpdpbusd":
        assert not spills(loop)
        assert len(loop) <= products + 3, "moves between the products"


@pytest.mark.parametrize(("vectors", "sets"), [(1, 8), (2, 4), (3, 4), (4, 2), (5, 2), (6, 2)])
def test_the_loop_of_a_chain_of_bytes(core_functions, vectors, sets):
    name = f"mlopt_chain_vectors_{vectors}_s8_avx512_vnni"
    instructions = next((body for function, body in core_functions if function == name), None)
    if instructions is None:
        pytest.skip("the compiler does not know avx512_vnni")
    loop = innermost_loop(instructions)
    products = [o for _, m, o in loop if m == "vpdpbusd" and "zmm" in o]
    assert len(products) == vectors * sets, "a product for every vector of every step"
    assert len({o.split(",")[-1] for o in products}) == vectors * sets, "a sum has no register of its own"
    assert not spills(instructions)


SPARSE = [f"{long}{type}" for long in ("", "long_") for type in ("f32", "f64")]


def sparse_loop(core_functions, name):
    instructions = next((body for function, body in core_functions if function == name), None)
    assert instructions, f"{name} is not there"
    return instructions, innermost_loop(instructions)


@pytest.mark.parametrize(("tier", "register"), [("avx512", "zmm"), ("avx2", "ymm")])
@pytest.mark.parametrize("kernel", ["spmm", "spmm_transposed"])
@pytest.mark.parametrize("element", SPARSE)
def test_the_loop_of_a_sparse_matrix_times_a_dense_one(core_functions, kernel, element, tier, register):
    """Eight vectors of a row in registers; nothing of any width goes by way of the stack."""
    instructions, loop = sparse_loop(core_functions, f"mlopt_{kernel}_{element}_{tier}")
    products = [o for _, m, o in loop if m.startswith("vfm") and register in o]
    assert len(products) == 8
    assert kernel != "spmm" or len({o.split(",")[-1] for o in products}) == 8, "a sum has no register of its own"
    assert not spills(instructions)


@pytest.mark.parametrize(("tier", "register", "vectors"), [("avx512", "zmm", 1), ("avx2", "ymm", 2)])
@pytest.mark.parametrize("type", ["f32", "f64"])
def test_the_loop_of_slices(core_functions, type, tier, register, vectors):
    _, loop = sparse_loop(core_functions, f"mlopt_sell_{type}_{tier}")
    products = [o for _, m, o in loop if m.startswith("vfm") and register in o]
    assert len(products) == len({o.split(",")[-1] for o in products}) == vectors
    assert not [m for _, m, _ in loop if "gather" in m], "single loads are quicker"
    assert not spills(loop)


@pytest.mark.parametrize("tier", ["avx512", "avx2"])
@pytest.mark.parametrize("kernel", ["spmv", "sampled"])
@pytest.mark.parametrize("element", SPARSE)
def test_the_loops_of_four_sums(core_functions, kernel, element, tier):
    _, loop = sparse_loop(core_functions, f"mlopt_{kernel}_{element}_{tier}")
    products = [o for _, m, o in loop if m.startswith("vfm") and "mm" in o]
    assert len(products) == len({o.split(",")[-1] for o in products}) == 4
    assert not spills(loop)


@pytest.mark.parametrize("element", SPARSE)
def test_the_loop_of_sparse_times_sparse(core_functions, element):
    instructions, loop = sparse_loop(core_functions, f"mlopt_spgemm_{element}_avx512")
    letter = "s" if element.endswith("f32") else "d"
    for mnemonic in (f"vgatherdp{letter}", f"vscatterdp{letter}", "vpcompressd"):
        assert mnemonic in {m for _, m, _ in loop}, f"{mnemonic} is not in the loop"
    assert not [f"{m} {o}" for _, m, o in instructions if "mm" in o and re.search(r"\(%r[sb]p[^)]*\)$", o)], "stores"
