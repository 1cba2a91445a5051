#!/usr/bin/env bash
# torch.nn.functional.binary_cross_entropy(p, 0) at p = 1 is capped at 100, as its page says ("clamps its log function
# outputs to be greater than or equal to -100"). One would guess that past the cap there is no gradient, or a small one.
# The gradient is (p - t) / max(p(1 - p), 1e-12): 1e12 for one bin. And clamp(max=1) passes it on where the sum in front
# of it is exactly 1 (two sigmoids of 0), but not above. Whatever norm of the gradient is clipped to is then that one
# bin's. Met in CLIPSep's noise-invariant loss. Source: aten/src/ATen/native/Loss.cpp (EPSILON), docs of BCELoss.
set -euo pipefail
work=$(mktemp -d); trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/venv"
"$work/venv/bin/pip" install -q --disable-pip-version-check "torch==${TORCH:-2.13.0}" numpy
"$work/venv/bin/python" - <<'PY'
import torch
import torch.nn.functional as F

print("torch", torch.__version__)
p = torch.ones(1, requires_grad=True)
loss = F.binary_cross_entropy(p, torch.zeros(1))
loss.backward()
print("p = 1, target 0: loss", loss.item(), "gradient", p.grad.item())
found = {}
for logit in (0.0, 3.0):
    a, b = (torch.tensor([logit], requires_grad=True) for _ in range(2))
    F.binary_cross_entropy((torch.sigmoid(a) + torch.sigmoid(b)).clamp(max=1.0), torch.zeros(1)).backward()
    found[logit] = a.grad.item()
    print(f"two sigmoids of {logit}, clamped: gradient", found[logit])
assert loss.item() == 100 and p.grad.item() > 9e11, "another gradient"
assert found[0.0] > 1e11 and found[3.0] == 0, "clamp treats its bound otherwise"
PY
