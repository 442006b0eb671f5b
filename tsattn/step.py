"""One training step that can be captured: a CUDA graph launches all its kernels at once, which for
a model this small takes less time than launching them one by one.
"""

from __future__ import annotations

import torch

from . import data


class Step:
    """From the indices of a batch's windows to the changed weights, always in the same memory.

    ``sums`` adds up MSE and MAE over the steps.
    """

    def __init__(self, model, optimiser, windows: data.Windows, batch_size: int):
        self.model, self.optimiser, self.windows, self.graph = model, optimiser, windows, None
        device = windows.series.device
        self.index = torch.zeros(batch_size, dtype=torch.long, device=device)
        self.sums = torch.zeros(2, dtype=torch.float64, device=device)

    def __call__(self, index) -> None:
        self.index.copy_(index)
        if self.graph:
            self.graph.replay()
        else:
            self.compute()

    def compute(self) -> None:
        x, y = self.windows.batch(self.index)
        error = self.model(x).float() - y
        loss = error.square().mean()
        loss.backward()
        self.optimiser.step()
        self.optimiser.zero_grad()
        with torch.no_grad():
            self.sums += torch.stack((loss, error.abs().mean()))

    def warm_up(self, times: int = 3) -> None:
        """Some steps, after which weights and optimiser are as before, where they will stay."""
        kept = {k: v.clone() for k, v in self.model.state_dict().items()}
        adam = {p: {k: v.clone() for k, v in state.items()}
                for p, state in self.optimiser.state.items()}
        self.model.train()
        for _ in range(times):
            self.compute()
        self.model.load_state_dict(kept)
        for p, state in self.optimiser.state.items():
            for k, v in state.items():
                v.copy_(adam[p][k]) if p in adam else v.zero_()

    def capture(self) -> None:
        """Record the step as a CUDA graph, which later calls replay."""
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            self.warm_up()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            self.compute()
        self.graph = graph
