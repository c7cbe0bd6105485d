"""The code location that Dagster loads: the processes of its steps, and how it is loaded again."""

import dagster as dg

# A step process needs seconds to import its modules, including those that are imported on first use only. Forked from a
# process that has imported them, it starts at once.
PRELOADED = (
    "fineline.dagster.definitions",
    "dagster._cli",  # the main module, which every process imports again
    "dagster._core.instance.factory",
    "dagster._core.storage.sqlite_storage",
    "dagster._daemon.controller",
    "dulwich.worktree",
    "dvc.cachemgr",
    "dvc.data_cloud",
    "dvc.lock",
    "dvc.repo",
    "dvc.repo.artifacts",
    "dvc.repo.datasets",
    "dvc.repo.metrics",
    "dvc.repo.params",
    "dvc.repo.plots",
    "dvc.repo.stage",
    "dvc.scm",
    "dvc_data.hashfile.db.local",
    "networkx",
    "fineline.governance.requirements",
    "ruamel.yaml",
)
EXECUTOR = dg.multiprocess_executor.configured({"start_method": {"forkserver": {"preload_modules": list(PRELOADED)}}})
"""Dagster's multiprocess executor with a fork server that has imported what steps need."""


def reload(context: dg.SensorEvaluationContext) -> bool:
    """Make the code server load the definitions again.

    Returns:
        False where there is no server that can be asked; `dagster dev` and `dagster code-server start` have one.
    """
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

    origin = context.code_location_origin
    if not isinstance(origin, GrpcServerCodeLocationOrigin):
        return False
    origin.create_client().reload_code(timeout=context.instance.code_server_reload_timeout)
    return True
