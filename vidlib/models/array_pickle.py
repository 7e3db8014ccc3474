"""Arrays out of a pickle that somebody else made, without trusting it.

A pickle is a program: loading one calls whatever it names. This unpickler knows the three names
that a pickled NumPy array needs and gives stand-ins for them, so that a file can say what numbers
an array holds, and nothing else.
"""

import io
import math
import pickle

import numpy as np

MOST_ENTRIES = 2000  # dicts included


class _Float32:
    """Stands in for numpy.dtype in an array pickle: float32, little-endian, and nothing else."""

    def __init__(self, code, *_):
        if code != "f4":
            raise pickle.UnpicklingError(f"it holds values of type {code!r}, not float32")

    def __setstate__(self, state):
        if state != (3, "<", None, None, None, -1, -1, 0):
            raise pickle.UnpicklingError("it holds values that are not little-endian float32")


class _Array:
    """Stands in for an array under reconstruction; `values` is the array once its state is set."""

    values = None

    def __init__(self, *_):
        """Take NumPy's placeholder arguments, and leave them."""

    def __setstate__(self, state):
        _version, shape, dtype, column_major, data = state
        whole = all(type(n) is int and n >= 0 for n in shape)
        if not (type(dtype) is _Float32 and column_major is False and type(data) is bytes):
            raise pickle.UnpicklingError("it holds an array that is not plain float32 in C order")
        if not whole or 4 * math.prod(shape) != len(data):
            raise pickle.UnpicklingError(f"it holds {len(data)} bytes for an array of {shape}")
        self.values = np.frombuffer(data, "<f4").reshape(shape)


class _ArrayUnpickler(pickle.Unpickler):
    """Knows the three globals of a pickled array, each replaced by a stand-in of our own.

    So not even NumPy's own reconstruction sees what the file says, and all else is refused.
    """

    STAND_INS = {  # noqa: RUF012
        ("numpy.core.multiarray", "_reconstruct"): _Array,
        ("numpy._core.multiarray", "_reconstruct"): _Array,  # as NumPy 2 writes it
        ("numpy", "ndarray"): None,  # an argument of the former
        ("numpy", "dtype"): _Float32,
    }

    def find_class(self, module, name):
        """Return the stand-in of a global; raise UnpicklingError for any but the three."""
        if (module, name) not in self.STAND_INS:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is no array")
        return self.STAND_INS[module, name]


def read_arrays(content: bytes) -> dict[str, np.ndarray]:
    """Return the float32 arrays of a pickle of nested dicts, by their path "a/b/c".

    Raises pickle.UnpicklingError for one with anything else in it, before anything is executed.
    """
    arrays, entries = {}, 0

    def collect(tree, path: str) -> None:
        nonlocal entries
        entries += 1
        if entries > MOST_ENTRIES:  # a few nested dicts, each named twice, may unfold to billions
            raise pickle.UnpicklingError(f"it holds more than {MOST_ENTRIES:,} entries")
        if type(tree) is dict:
            for name, value in tree.items():
                collect(value, f"{path}/{name}" if path else str(name))
        elif type(tree) is _Array and tree.values is not None and path:
            arrays[path] = tree.values
        else:
            raise pickle.UnpicklingError(f"{path or 'it'} is no array but {type(tree).__name__}")

    try:
        collect(_ArrayUnpickler(io.BytesIO(content)).load(), "")
    except Exception as error:  # a broken or hostile pickle raises what it likes
        raise pickle.UnpicklingError(f"the array pickle is refused: {error}") from error
    return arrays
