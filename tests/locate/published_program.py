"""A slow second implementation of the published detection, in plain loops: the oracle of `locate.published`.

Points are (row, column); a patch is (row of its first pixel, one past its last, the same for columns).
"""

import numpy as np
import torch
from scipy import ndimage
from shapely.geometry import Point, Polygon
from torch.nn import functional

KINDS = range(4)


def spans(length: int, edge: int) -> list[tuple[int, int]]:
    step = int(edge * 0.6)
    result = []
    for number in range(length // step + 1):
        first, end = number * step, number * step + edge
        if end >= length:
            first, end = length - edge, length - 1
        result.append((first, end))
    return result


def patches(picture: np.ndarray, pixel_mm: float) -> list[tuple[int, int, int, int]]:
    edge = int(260 / pixel_mm)
    if edge > min(picture.shape):
        edge = min(picture.shape) - 1
    return [(*row, *column) for column in spans(picture.shape[1], edge) for row in spans(picture.shape[0], edge)]


def resized(picture: np.ndarray, shape: tuple[int, int], mode: str) -> np.ndarray:
    batch = torch.as_tensor(np.ascontiguousarray(picture))[None, None].double()
    return functional.interpolate(batch, shape, mode=mode, align_corners=False)[0, 0].numpy()


def seen_by_the_network(part: np.ndarray) -> np.ndarray:
    patch = resized(part, (224, 224), "bicubic")
    patch[patch < part.min()] = part.min()
    patch[patch > part.max()] = part.max()
    spread = np.percentile(patch, 99.5) - np.percentile(patch, 0.5)
    return ((patch - patch.min()) / (spread + 1e-9)).astype(np.float32)


def hottest_pixels(heat: np.ndarray) -> list[tuple[int, int]]:
    regions, _ = ndimage.label(heat > 0.6)
    points = []
    for number, box in enumerate(ndimage.find_objects(regions), start=1):
        inside = np.where(regions[box] == number, heat[box], -np.inf)
        row, column = np.unravel_index(inside.argmax(), inside.shape)
        points.append((int(row) + box[0].start, int(column) + box[1].start))
    return points


def landmarks(picture: np.ndarray, pixel_mm: float, network) -> tuple[list[tuple[int, int]], list[list]]:
    """Centroids, and (place, arrow) of the corners of each kind."""
    places = patches(picture, pixel_mm)
    scale = (places[0][3] - places[0][2]) / 224
    heat, count = np.zeros(picture.shape), np.zeros(picture.shape)
    corners = [[] for _ in KINDS]
    for top, bottom, left, right in places:
        maps = network(seen_by_the_network(picture[top:bottom, left:right])[None, None])[0]
        heat[top:bottom, left:right] += resized(maps[4], (bottom - top, right - left), "bilinear")
        count[top:bottom, left:right] += 1
        for kind in KINDS:
            for row, column in hottest_pixels(maps[kind]):
                arrow = np.array([int(maps[9 + kind, row, column]), int(maps[5 + kind, row, column])]) * scale
                corners[kind].append((np.array([row * scale + top, column * scale + left]), arrow))
    return hottest_pixels(heat / np.where(count == 0, 1, count)), corners


def outlines(centroids: list[tuple[int, int]], corners: list[list]) -> list[np.ndarray]:
    """Outlines of one slice."""
    found = []
    for centroid in centroids:
        if all(corners):
            outline = assemble(np.array(centroid), corners)
            found += [] if outline is None else [outline]
    return without_shared_corners(found)


def assemble(centroid: np.ndarray, corners: list) -> np.ndarray | None:
    chosen = [min(corners[kind], key=lambda corner: np.hypot(*(corner[0] + corner[1] - centroid))) for kind in KINDS]
    missing = []
    for kind, (place, arrow) in enumerate(chosen):
        gap = np.hypot(*(place + arrow - centroid))
        if gap > 0.5 * np.hypot(*arrow) or gap > 20:
            missing.append(kind)
    outline = np.array([place for place, _ in chosen])
    if len(missing) == 1:
        outline[missing[0]] = centroid + chosen[(missing[0] + 2) % 4][1]
        return outline
    polygon = Polygon(outline)
    return outline if not missing and polygon.is_valid and polygon.contains(Point(centroid)) else None


def spread_of_angles(outline: np.ndarray) -> float:
    angles = []
    for i in KINDS:
        one, other = outline[i - 1] - outline[i], outline[(i + 1) % 4] - outline[i]
        with np.errstate(invalid="ignore"):  # two corners in one place have no angle, and NaN no spread
            angles.append(np.arccos(np.dot(one, other) / np.linalg.norm(one) / np.linalg.norm(other)))
    return max(angles) - min(angles)


def without_shared_corners(found: list[np.ndarray]) -> list[np.ndarray]:
    dropped = set()
    for a, one in enumerate(found):
        for b, other in enumerate(found):
            if not np.array_equal(one, other) and min(np.hypot(*(one[k] - other[k])) for k in KINDS) < 2:
                dropped.add(a if spread_of_angles(one) > spread_of_angles(other) else b)
    return [outline for number, outline in enumerate(found) if number not in dropped]


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    a, b = Polygon(one), Polygon(other)
    if not (a.is_valid and b.is_valid):
        return 0.0
    return a.intersection(b).area / a.union(b).area


def bodies(voxels: np.ndarray, pixel_mm: float, network) -> list[tuple[list[int], np.ndarray]]:
    """Slices and mean outline of each body, from head to foot."""
    return grouped([outlines(*landmarks(picture, pixel_mm, network)) for picture in voxels])


def grouped(found_in_slices: list[list[np.ndarray]]) -> list[tuple[list[int], np.ndarray]]:
    """Slices and mean outline of each body, from head to foot."""
    found: list[tuple[list[int], list[np.ndarray]]] = []
    for k, found_here in enumerate(found_in_slices):
        for outline in found_here:
            for slices, members in found:
                if overlap(outline, members[-1]) > 0.2:
                    slices.append(k)
                    members.append(outline)
                    break
            else:
                found.append(([k], [outline]))
    found = [body for body in found if len(body[1]) > 1]
    means = [np.mean(members, axis=0) for _, members in found]
    pairs = [(a, b) for a in range(len(found)) for b in range(a) if overlap(means[a], means[b]) > 0.05]
    for later, earlier in pairs:
        found[later] = (found[later][0] + found[earlier][0], found[later][1] + found[earlier][1])
    gone = {earlier for _, earlier in pairs}
    kept = [(slices, np.mean(members, axis=0)) for n, (slices, members) in enumerate(found) if n not in gone]
    return sorted(kept, key=lambda body: body[1][:, 0].mean())
