"""Source of small networks that tests write to a file of their own and open as `python:` models."""

NETS = """
import torch
from torch import nn

def net(seed):
    torch.manual_seed(seed)
    module = nn.Sequential(nn.Flatten(), nn.Linear(3 * 16 * 16, 3))
    with torch.no_grad():
        colour = torch.zeros(3, 3, 256)
        colour[torch.arange(3), torch.arange(3)] = 0.15
        module[1].weight.copy_(colour.flatten(1) + 0.02 * seed * torch.randn(3, 768))
    return module

def a(): return net(0)
def b(): return net(1)

def steps(x):
    return torch.round(20 * x.detach().mean((2, 3))) * 2
"""
"""`net(seed)`, of which `a` and `b` are two; and `steps`, which has no gradient."""
