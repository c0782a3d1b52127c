"""The selections as slow, plain loops, written from their formulas."""

import numpy as np


def filters(n, d, seed=0):
    return np.random.default_rng(seed).standard_normal((n, d))


def error(chosen, of):
    """Squared error of least squares: what is left of the rows `of` outside the span of the rows `chosen`."""
    if not len(chosen):
        return float((of**2).sum())
    fit = np.linalg.lstsq(chosen.T, of.T, rcond=1e-9)[0]
    return float(((of.T - chosen.T @ fit) ** 2).sum())


def nearest_pairs_once(likeness):
    """Kept and removed units of one round, as written in the paper."""
    n = len(likeness)
    nearest, strength = [], []
    for i in range(n):
        best = max((j for j in range(n) if j != i), key=lambda j: (likeness[i, j], -j))
        nearest.append(best)
        strength.append(likeness[i, best])
    kept, red = [], []
    for i in sorted(range(n), key=lambda i: (-strength[i], i)):
        if i not in red:
            kept.append(i)
            red.append(nearest[i])
    return sorted(kept)


def most_similar_pair(q):
    left, units = list(range(len(q))), []
    while len(left) > 1:
        pairs = [(i, j) for i in left for j in left if i < j]
        i, j = max(pairs, key=lambda p: (q[p], -p[0], -p[1]))
        second = {
            a: max((q[a, k] for k in left if k not in (a, b)), default=-np.inf) for a, b in ((i, j), (j, i))
        }
        gone = i if second[i] > second[j] else j
        units.append((gone, q[i, j]))
        left.remove(gone)
    return [u for u, _ in units] + left, [s for _, s in units]


def lrf(f, outgoing=None):
    n = len(f)
    z = np.eye(n) if outgoing is None else outgoing.copy()
    left, units, damage = list(range(n)), [], []
    while left:
        best = None
        for j in left:
            others = [i for i in left if i != j]
            fit = np.linalg.lstsq(f[others].T, f[j], rcond=1e-9)[0] if others else np.zeros(0)
            score = np.linalg.norm(f[j] - fit @ f[others]) * np.linalg.norm(z[:, j])
            if best is None or score < best[0] - 1e-9:
                best = score, j, others, fit
        score, j, others, fit = best
        z[:, others] += np.outer(z[:, j], fit)
        left.remove(j)
        units.append(j)
        damage.append(score)
    return units, damage


def backward(f):
    left, units, damage = list(range(len(f))), [], []
    now = 0.0
    while left:
        errors = [(error(f[[i for i in left if i != j]], f), j) for j in left]
        best = min(errors, key=lambda e: (round(e[0], 9), e[1]))
        units.append(best[1])
        damage.append(best[0] - now)
        now = best[0]
        left.remove(best[1])
    return units, damage


def ridge_loss(chosen, of, rho):
    """Least value of the squared error plus rho times the squared coefficients, summed over the rows `of`."""
    if not len(chosen):
        return float((of**2).sum())
    k = chosen @ chosen.T + rho * np.eye(len(chosen))
    fit = np.linalg.solve(k, chosen @ of.T)
    return float(((of.T - chosen.T @ fit) ** 2).sum() + rho * (fit**2).sum())


def ridge_lrf(f, rho):
    left, units, z = list(range(len(f))), [], np.eye(len(f))
    while left:
        scores = []
        for j in left:
            others = f[[i for i in left if i != j]]
            scores.append(ridge_loss(others, f[j][None], rho) * np.linalg.norm(z[:, j]) ** 2)
        j = left[int(np.argmin(scores))]
        left.remove(j)
        if left:
            k = f[left] @ f[left].T + rho * np.eye(len(left))
            z[:, left] += np.outer(z[:, j], np.linalg.solve(k, f[left] @ f[j]))
        units.append(j)
    return units


def ridge_backward(f, rho):
    left, units = list(range(len(f))), []
    while left:
        losses = [ridge_loss(f[[i for i in left if i != j]], f, rho) for j in left]
        units.append(left.pop(int(np.argmin(losses))))
    return units


def omp(f, ridge):
    """Chosen filters in order of choice, until nothing is left to explain."""
    unit = f / np.linalg.norm(f, axis=1, keepdims=True)
    n, chosen, rest = len(f), [], unit.copy()
    while len(chosen) < n:
        gains = [-1.0 if i in chosen else np.abs(rest @ unit[i]).sum() for i in range(n)]
        if max(gains) < 1e-6:
            break
        chosen.append(int(np.argmax(gains)))
        a = unit[chosen]
        fit = np.linalg.solve(a @ a.T + ridge * np.eye(len(chosen)), a @ unit.T)
        rest = unit - fit.T @ a
    return chosen


def thinet(x):
    n = x.shape[1]
    gone, damage, now = [], [], 0.0
    while len(gone) < n:
        energies = [(((x[:, [*gone, c]].sum(axis=1)) ** 2).sum(), c) for c in range(n) if c not in gone]
        energy, c = min(energies)
        gone.append(c)
        damage.append(max(0.0, energy - now))
        now = energy
    return gone, damage
