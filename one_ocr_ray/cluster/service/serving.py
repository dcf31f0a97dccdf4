"""The service on Ray Serve: the deployment, and the life of `one-ocr serve`."""

from __future__ import annotations

import logging
import math
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack, closing
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Self

import ray
from ray import serve
from ray.serve.config import BackpressureConfig

from one_ocr_ray.cluster.engine_setup import engine_on_node
from one_ocr_ray.cluster.service.task_client import RemoteTaskManager
from one_ocr_ray.cluster.service.task_manager_start import (
    begin_task_manager,
    end_task_manager,
    refuse_second_service,
    start_task_manager,
)
from one_ocr_ray.cluster.session import ray_session
from one_ocr_ray.environment import callback_secret, refuse_keys_in, submitted_runtime_env
from one_ocr_ray.errors import StoppedError
from one_ocr_ray.policy import shutdown
from one_ocr_ray.service.app import check_local_settings, create_app
from one_ocr_ray.service.middleware.proxy_limit import variables
from one_ocr_ray.service.middleware.request_log import log_as_json
from one_ocr_ray.service.starting import url_of
from one_ocr_ray.settings.run import LOCAL_RAY, ray_address
from one_ocr_ray.settings.service import load_service, unknown_variables
from one_ocr_ray.storage.tasks.manager_lease import refuse_held_store
from one_ocr_ray.storage.tasks.task_store import TaskStore
from one_ocr_ray.tasks.service_config import ServiceConfig, service_config_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from fastapi import FastAPI
    from ray.serve import Application

    from one_ocr_ray.service.starting import StartingPort
    from one_ocr_ray.settings.service import ServiceSettings

APPLICATION = "one-ocr"
# Event streams and long polls last up to a minute. Serve's bounds are above those of the application, so that the
# application answers and not a queue.
ONGOING_REQUESTS = 2000
QUEUED_REQUESTS = 200
RETRY_AFTER_S = 5
DRAIN_S = 5.0
READY_WITHIN_S = 60.0
# A dead proxy or replica is noticed this soon.
HEALTH_CHECK_S = 2.0
_OF_THE_CONTROLLER = {"RAY_SERVE_PROXY_HEALTH_CHECK_PERIOD_S": f"{HEALTH_CHECK_S:g}"}


class OneOcr:
    """The ingress deployment: one replica of the application, without state of its own."""

    def __init__(self, service: ServiceConfig) -> None:
        refuse_keys_in(ray.get_runtime_context().runtime_env)  # of the application or the deployment in Serve's file
        self._service = service

    def __serve_build_asgi_app__(self) -> FastAPI:
        log_as_json()
        settings = self._service.settings
        return create_app(RemoteTaskManager(self._service), TaskStore(settings.store), settings)


def build(arguments: dict[str, str]) -> Application:
    """The service for `serve run` and `serve deploy`; `arguments` override settings of the environment.

    Raises UsageError for settings that cannot be used, and for a key in the runtime environment.
    """
    refuse_keys_in(submitted_runtime_env())
    if ray.is_initialized():
        refuse_keys_in(ray.get_runtime_context().runtime_env)
    if warning := unknown_variables():
        logging.getLogger(__name__).warning(warning)
    return application(service_config_of(_with_whole_paths(load_service(dict(arguments)))))


def application(service: ServiceConfig) -> Application:
    """The service as Serve runs it.

    It takes no CPU: batch jobs book all of them, and uploads must come in beside them.
    """
    ingress: Any = serve.deployment(
        serve.ingress()(OneOcr),
        name=APPLICATION,
        max_ongoing_requests=ONGOING_REQUESTS,
        max_queued_requests=QUEUED_REQUESTS,
        backpressure_config=BackpressureConfig(status_code=503, retry_after_s=RETRY_AFTER_S),
        ray_actor_options={"num_cpus": 0},
        health_check_period_s=HEALTH_CHECK_S,
        graceful_shutdown_timeout_s=DRAIN_S,
    )
    app: Application = ingress.bind(service)
    return app


def serve_until_interrupted(
    settings: ServiceSettings, say: Callable[[str], None], starting: StartingPort | None = None
) -> None:
    """Serve until Ctrl-C or SIGTERM; `say` is told when the service can be used.

    `starting` is closed when Ray Serve answers at the port. Ends what it has started: the application, the task
    manager, and a Ray of its own. Raises UsageError for settings that cannot be used, and StoppedError when the service
    does not come up.
    """
    address = ray_address(settings)
    if address == LOCAL_RAY:
        check_local_settings(settings)  # what is wrong is found before anything is started
    settings = _with_whole_paths(settings)
    service = service_config_of(settings)
    if address == LOCAL_RAY:
        if (setup := service.engines[settings.engine]) is not None:
            engine_on_node(setup.options)  # a missing key, too
        if settings.callback_hosts:
            callback_secret()
        refuse_held_store(settings.store, say)
    app = application(service)
    logging.getLogger("ray.serve").setLevel(logging.WARNING)
    say("Starting Ray on this machine." if address == LOCAL_RAY else f"Joining the Ray cluster at {address}.")
    with _ServeInterruption() as interruption, ray_session(address, for_service=True), ExitStack() as started:
        interruption.listen()  # again: Ray has a handler of its own for SIGTERM
        interruption.raise_if_any()
        refuse_second_service(settings.store, say)
        started.callback(end_task_manager, settings.store)
        begin_task_manager(service)  # its process starts while Serve does
        say("Starting the task manager and Ray Serve.")
        serve.start(
            proxy_location="HeadOnly",
            http_options={"host": settings.host, "port": settings.port},
            controller_options={"runtime_env": {"env_vars": _OF_THE_CONTROLLER | variables(settings)}},
        )
        interruption.raise_if_any()
        started.callback(serve.delete, APPLICATION)
        if starting is not None:
            starting.close()
        say("Starting the application.")
        serve.run(app, name=APPLICATION, route_prefix="/")
        start_task_manager(service)
        interruption.raise_if_any()
        _await_ready(settings, interruption)
        say(f"One OCR listens on {url_of(settings)}; uploads and results are kept in {settings.store}.")
        interruption.happened.wait()


class _ServeInterruption:
    """Turns Ctrl-C and SIGTERM into an event; a second one ends the process.

    Python's exception for Ctrl-C may come at any moment and would leave Ray half started. A supervisor that signals a
    process and its group means it once.
    """

    def __init__(self) -> None:
        self.happened = threading.Event()
        self._first_s = math.inf
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        self.listen()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def listen(self) -> None:
        for number in self._before:
            signal.signal(number, self._on_signal)

    def raise_if_any(self) -> None:
        if self.happened.is_set():
            raise KeyboardInterrupt

    def _on_signal(self, *_: object) -> None:
        if shutdown.is_second_request(self._first_s, time.monotonic()):
            os._exit(StoppedError.exit_code)
        self._first_s = min(self._first_s, time.monotonic())
        self.happened.set()


def _await_ready(settings: ServiceSettings, interruption: _ServeInterruption) -> None:
    """Wait until the application answers at its address: not only the proxy, as /healthz does."""
    give_up_at = time.monotonic() + READY_WITHIN_S
    while True:
        interruption.raise_if_any()
        try:
            with closing(urllib.request.urlopen(f"{url_of(settings)}/v1/info", timeout=5)):  # noqa: S310 - http
                return
        except urllib.error.HTTPError as error:
            if error.code == HTTPStatus.UNAUTHORIZED:  # it asks for a key
                return
            interruption.happened.wait(0.2)
        except (urllib.error.URLError, OSError):
            if time.monotonic() > give_up_at:
                raise StoppedError(
                    f"The service does not answer on {url_of(settings)}. Where Serve runs on this cluster already, "
                    "its own host and port hold: give those, or end it with `serve shutdown`."
                ) from None
            interruption.happened.wait(0.2)


def _with_whole_paths(settings: ServiceSettings) -> ServiceSettings:
    """`settings` with absolute paths: the service's processes have other working folders."""
    paths = {
        name: path.expanduser().absolute()
        for name in ("api_keys_file", "spool", "password_file", "language_models")
        if (path := getattr(settings, name)) is not None
    }
    return settings.model_copy(update={**paths, "store": TaskStore(settings.store).root})
