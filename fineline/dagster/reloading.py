"""Having the code server load the definitions again, so that what the browser shows is what the files say."""

import dagster as dg


def reload(context: dg.SensorEvaluationContext) -> bool:
    """Ask the code server for it; False where there is none that can be asked (`dagster code-server start` can)."""
    from dagster._core.remote_origin import GrpcServerCodeLocationOrigin

    origin = context.code_location_origin
    if not isinstance(origin, GrpcServerCodeLocationOrigin):
        return False
    origin.create_client().reload_code(timeout=context.instance.code_server_reload_timeout)
    return True
