"""Notebook kernels forked from one process that has imported what every chapter needs.

A chapter's kernel takes about four seconds to start and to import PyTorch, pandas and matplotlib.
Forked from a process that has done so, it takes a tenth of that. On Linux alone: elsewhere a
process that has loaded these libraries cannot safely be forked.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from multiprocessing import forkserver, get_context, parent_process

from jupyter_client import AsyncKernelManager
from jupyter_client.provisioning import LocalProvisioner

CONTEXT = get_context("forkserver" if sys.platform == "linux" else "spawn")
IMPORTED = ["ipykernel.kernelapp", "matplotlib.pyplot", "seaborn", "sklearn.linear_model",
            "tsattn.bench", "tsattn.own_series"]
if sys.platform == "linux":
    CONTEXT.set_forkserver_preload(IMPORTED)


def ready() -> dict:
    """Start the process that kernels are forked from, if it is not there, without waiting for it;
    returns what ``papermill.execute_notebook`` needs beside to use it."""
    if sys.platform != "linux":
        return {}
    forkserver.ensure_running()
    return {"kernel_manager_class": _Manager}


class _Manager(AsyncKernelManager):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.provisioner = _Forked(kernel_spec=self.kernel_spec, parent=self)


class _Forked(LocalProvisioner):
    async def launch_kernel(self, cmd, **kwargs):
        self.process = _Process(cmd[cmd.index("-f"):], kwargs.get("cwd"), kwargs.get("env"))
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _Process:
    """A forked kernel with the part of ``subprocess.Popen`` that its provisioner uses."""

    stdin = stdout = stderr = None

    def __init__(self, argv, cwd, env):
        self._process = CONTEXT.Process(target=_serve, args=(argv, cwd, env))
        self._process.start()
        self.pid = self._process.pid

    def poll(self):
        return self._process.exitcode

    def wait(self):
        self._process.join()
        return self._process.exitcode

    def send_signal(self, signum):
        os.kill(self.pid, signum)

    def kill(self):
        self.send_signal(signal.SIGKILL)


def _serve(argv, cwd, env):
    from ipykernel.kernelapp import launch_new_instance

    os.setsid()  # a group of its own: what the kernel starts ends with it

    def end_with_the_report():
        parent_process().join()
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=end_with_the_report, daemon=True).start()
    if env is not None:
        os.environ.clear()
        os.environ.update(env)
    if cwd:
        os.chdir(cwd)
    sys.path.insert(0, "")
    launch_new_instance(argv=[*argv, f"--IPKernelApp.parent_handle={os.getppid()}"])
