"""The reader of artist-made garments' bindings, from which the test files are made."""

import numpy as np

from gpu_worker.training.artist_garments import read_mhclo, read_obj

MHCLO = """# a comment
name tee
x_scale 0 1 2.0
y_scale 0 2 1.0
z_scale 0 3 4.0
verts 0
0 1 2 0.5 0.25 0.25 1.0 0.0 0.0   # a bound vertex
3
material cloth.mhmat
delete_verts
4 7 - 9 12
"""
OBJ = """v 0 0 0
vt 0 0
vt 1 0
vt 1 1
vt 0 1
f 1/1 2/2 3/3 4/4
f 6/1 7/2 8/3
"""


class TestReadMhclo:
    def test_rows_scales_ranges_and_keys_after_the_rows(self) -> None:
        binding = read_mhclo(MHCLO)
        assert binding.scales == {"x": (0, 1, 2.0), "y": (0, 2, 1.0), "z": (0, 3, 4.0)}
        assert binding.hidden == [4, 7, 8, 9, 12]
        body = np.array([[0.0, 0, 0], [4, 0, 0], [0, 8, 0], [0, 0, 2]])
        np.testing.assert_allclose(binding.on(body), [[1 + 2, 2, 0], [0, 0, 2]])


class TestReadObj:
    def test_quads_are_cut_and_parts_told_apart(self) -> None:
        rows, texture, faces, parts = read_obj(OBJ)
        assert faces.tolist() == [[0, 1, 2], [0, 2, 3], [4, 5, 6]]
        assert parts.tolist() == [0, 0, 0, 0, 1, 1, 1]
        assert rows.tolist() == [0, 1, 2, 3, 5, 6, 7]
        np.testing.assert_allclose(texture[:4], [[0, 1], [1, 1], [1, 0], [0, 0]])
