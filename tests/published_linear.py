"""The published procedures of LRF, FP-OMP and FP-Backward in plain loops, one framed convolution at a time.

`Framed` holds W between Y and Z, which begin as identities. A rule gets filters as rows, the weights that read them
as columns (Z) or rows (Y, transposed), and how many leave; it returns what stays, by rising index, what leaves, and
how much of each that stays (columns) is added for each that leaves (rows).
"""

import numpy as np


class Framed:
    """One convolution W (n, c, k, k) with a 1x1 convolution Y before it and Z behind it."""

    def __init__(self, weight):
        self.w = np.array(weight, dtype=np.float64)
        self.z, self.y = np.eye(self.w.shape[0]), np.eye(self.w.shape[1])
        self.outputs, self.inputs = list(range(self.w.shape[0])), list(range(self.w.shape[1]))

    def choose_outputs(self, many, rule):
        return rule(self.w.reshape(len(self.w), -1), self.z, many)

    def choose_inputs(self, many, rule):
        return rule(self.w.transpose(1, 0, 2, 3).reshape(self.w.shape[1], -1), self.y.T, many)

    def cut_outputs(self, stays, gone, fit):
        self.z = self.z[:, stays] + self.z[:, gone] @ fit
        self.w = self.w[stays]
        self.outputs = [self.outputs[i] for i in stays]

    def cut_inputs(self, stays, gone, fit):
        self.y = self.y[stays] + fit.T @ self.y[gone]
        self.w = self.w[:, stays]
        self.inputs = [self.inputs[i] for i in stays]

    def folded(self):
        """The one convolution that the three are."""
        return np.einsum("oa,abhw,bi->oihw", self.z, self.w, self.y)


def by_lrf(filters, reads, many):
    """Again and again the filter whose residual, times the weights that read it, is smallest."""
    left, reads = list(range(len(filters))), reads.copy()
    total = np.eye(len(filters))
    for _ in range(many):
        found = []
        for j in left:
            others = [i for i in left if i != j]
            a = filters[others]
            fit = np.linalg.solve(a @ a.T, a @ filters[j])
            found.append((np.linalg.norm(filters[j] - fit @ a) * np.linalg.norm(reads[:, j]), j, others, fit))
        _, j, others, fit = min(found, key=lambda one: one[0])
        reads[:, others] += np.outer(reads[:, j], fit)
        total[:, others] += np.outer(total[:, j], fit)
        left.remove(j)
    gone = [i for i in range(len(filters)) if i not in left]
    return left, gone, total[gone][:, left]


def by_backward(filters, reads, many):
    """Again and again the filter whose loss raises the error of approximating all of them least."""
    left = list(range(len(filters)))
    for _ in range(many):
        a = filters[left].T
        g = np.linalg.inv(a.T @ a)
        rises = [np.linalg.norm((a @ g[:, k]) @ filters.T) ** 2 / g[k, k] for k in range(len(left))]
        left.pop(int(np.argmin(rises)))
    gone = [i for i in range(len(filters)) if i not in left]
    fit = np.linalg.lstsq(filters[left].T, filters[gone].T, rcond=None)[0].T
    return left, gone, fit


def by_omp(filters, reads, many):
    """Pursuit with a ridge of 1 on normalised filters; coefficients as the published code places them."""
    n = len(filters)
    unit = filters / np.linalg.norm(filters, axis=1, keepdims=True)
    rest, chosen, fit = unit.copy(), [], np.zeros((n, 0))
    while len(chosen) < n - many:
        gains = [-np.inf] * n
        for i in range(n):
            if i not in chosen:
                gains[i] = sum(abs(float(rest[j] @ unit[i])) for j in range(n))
        chosen.append(int(np.argmax(gains)))
        a = unit[chosen]
        fit = np.stack([np.linalg.solve(a @ a.T + np.eye(len(a)), a @ unit[j]) for j in range(n)])
        rest = unit - fit @ a
    stays = sorted(chosen)
    gone = [i for i in range(n) if i not in stays]
    return stays, gone, fit[gone]  # columns in the order of choice, used for the chosen by rising index
