"""Whether networks are worked out in halves (bfloat16, sums in float32) where the CPU gains by it. The default is no.

Halves are nearly twice as fast, and take half of the memory; trained pictures are as good, but numbers are the same to
three digits only. Just the cpu engine listens, on CPUs that gain: by vectors (AVX-512 BF16 of AMD), or by the
matrix unit (AMX of Intel's servers, where the system allows it).
"""

_wish = [False]  # the whole process shares it


def half() -> bool:
    return _wish[0]


def set_half(wanted: bool) -> None:
    _wish[0] = wanted
