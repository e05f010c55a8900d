"""The application: DBOD's REST over a service, its OpenAPI, and the page."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

from fastapi import APIRouter, Body, Depends, FastAPI, Header, Query, Response, status
from starlette.concurrency import run_in_threadpool
from starlette.middleware.trustedhost import TrustedHostMiddleware

from lab.core.errors import NoSuch
from lab.dbod.contract import Operation, Request
from lab.dbod.serve import answers, bodies, page, shapes, views
from lab.dbod.serve.answers import REFUSALS
from lab.dbod.serve.auth import Door
from lab.dbod.serve.book import ATTRIBUTE, FIELD
from lab.dbod.serve.gate import Gate
from lab.dbod.serve.queue import JobState, QueuedJob
from lab.dbod.serve.records import records
from lab.dbod.serve.service import Service
from lab.dbod.serve.shapes import JobShape
from lab.dbod.serve.words import ENGINES, Key, Name, Number

FIRST_LOOK_SECONDS, LOOK_SECONDS = 0.02, 0.4
"""How often somebody who waits for a job looks at it: soon at first, as most jobs are short."""
HOSTS = ["127.0.0.1", "localhost"]
"""Names under which we are asked; any other is a page that let its name point here."""
Wait = Annotated[float, Query(ge=0, le=60, description="seconds to wait for the job's end")]
IdempotencyKey = Annotated[
    str | None,
    Header(pattern="^[!-~]{1,100}$", description="asked again with the same key it is the same job, not another"),
]
ACCEPTED: dict[int | str, dict[str, Any]] = {
    200: {"model": shapes.Response[JobShape], "description": "it ended while it was waited for"},
    202: {"model": shapes.Response[JobShape], "description": "accepted: it is on disk, and will be done"},
}


def application(service: Service, token: str) -> FastAPI:
    """The whole of it; the service is started and stopped by the caller."""
    app = FastAPI(title="Database on Demand", version="1", docs_url=None, redoc_url=None)
    answers.register(app)
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=HOSTS)
    door = Door(token)
    for router in (_instances(service, door), _jobs(service, door), records(service, door)):
        app.include_router(router, prefix="/api/v1")
    app.include_router(page.router(door))
    app.add_middleware(Gate, door=door)
    return app


def _instances(service: Service, door: Door) -> APIRouter:
    made = APIRouter(tags=["instance"], responses=REFUSALS)
    asker = Annotated[str, Depends(door.asker)]

    @made.get("/instance", dependencies=[Depends(door.asker)])
    def instances() -> shapes.Response[list[shapes.Instance]]:
        """Every instance."""
        return shapes.Response(response=[views.instance(facts) for facts in service.facts()])

    @made.get("/instance/alias/{alias}", dependencies=[Depends(door.asker)])
    def alias(alias: Name) -> shapes.Response[shapes.Alias]:
        """Where an instance is found."""
        facts = service.fact(alias)
        return shapes.Response(
            response=shapes.Alias(alias=alias, dns_name=f"{facts.get('host')}:{facts.get('port')}")
        )

    @made.get("/instance/{name}", dependencies=[Depends(door.asker)])
    def instance(name: Name) -> shapes.Response[shapes.Instance]:
        """One instance."""
        return shapes.Response(response=views.instance(service.fact(name)))

    @made.post("/instance/{name}", status_code=202, responses=ACCEPTED)
    async def create(
        name: Name, body: bodies.Creation, who: asker, response: Response, wait: Wait = 0,
        idempotency_key: IdempotencyKey = None,
    ) -> shapes.Response[JobShape]:  # fmt: skip
        """Ask for a new instance; one that is there already is left as it is."""
        request = Request(
            Operation.CREATE, name, engine=ENGINES[body.db_type], memory=body.memory, disk=body.disk,
            port=body.port or 0, owner=body.username, category=body.class_, version=body.version,
        )  # fmt: skip
        fields = body.model_dump(include={"description", "e_group", "project", "expiry_date"}, mode="json")
        job = await run_in_threadpool(_create, service, request, fields, who, idempotency_key)
        return await _told(service, job, wait, response)

    @made.put("/instance/{name}")
    def change(name: Name, body: bodies.Change, who: asker) -> shapes.Response[shapes.Instance]:
        """Change what DBOD keeps of an instance beside its server; each change is in its history."""
        service.fact(name)
        service.book.write(name, FIELD, body.model_dump(by_alias=True, exclude_unset=True, mode="json"), who)
        return shapes.Response(response=views.instance(service.fact(name)))

    @made.delete("/instance/{name}", status_code=202, responses=ACCEPTED)
    async def destroy(
        name: Name, who: asker, response: Response, wait: Wait = 0, idempotency_key: IdempotencyKey = None
    ) -> shapes.Response[JobShape]:
        """Ask for the end of an instance, with its data and backups."""
        job = await run_in_threadpool(service.ask, Request(Operation.DESTROY, name), who, idempotency_key)
        return await _told(service, job, wait, response)

    @made.get("/instance/{name}/attribute", dependencies=[Depends(door.asker)])
    def attributes(name: Name) -> shapes.Response[dict[str, str]]:
        """Every attribute of an instance."""
        service.need(name)
        return shapes.Response(response=service.book.read(name, ATTRIBUTE))

    @made.get("/instance/{name}/attribute/{key}", dependencies=[Depends(door.asker)])
    def attribute(name: Name, key: Key) -> shapes.Response[str]:
        """One attribute."""
        service.need(name)
        found = service.book.read(name, ATTRIBUTE)
        if key not in found:
            raise NoSuch(f"{name} has no attribute {key!r}.", "Set it with PUT.")
        return shapes.Response(response=found[key])

    @made.put("/instance/{name}/attribute/{key}")
    @made.post("/instance/{name}/attribute/{key}", include_in_schema=False)
    def set_attribute(name: Name, key: Key, body: bodies.Value, who: asker) -> shapes.Response[str]:
        """Set an attribute; the change is in the history."""
        service.need(name)
        service.book.write(name, ATTRIBUTE, {key: body.value}, who)
        return shapes.Response(response=body.value)

    @made.delete("/instance/{name}/attribute/{key}", status_code=status.HTTP_204_NO_CONTENT)
    def remove_attribute(name: Name, key: Key, who: asker) -> None:
        """Take an attribute away."""
        attribute(name, key)
        service.book.write(name, ATTRIBUTE, {key: None}, who)

    @made.get("/instance/{name}/metadata", dependencies=[Depends(door.asker)])
    def metadata(name: Name) -> shapes.Response[shapes.Metadata]:
        """An instance for programs on its host."""
        return shapes.Response(response=_metadata(service, service.fact(name)))

    @made.get("/metadata/host/{host}", dependencies=[Depends(door.asker)])
    def host_metadata(host: str) -> shapes.Response[list[shapes.Metadata]]:
        """Every instance of a host."""
        found = [facts for facts in service.facts() if facts.get("host") == host]
        return shapes.Response(response=[_metadata(service, facts) for facts in found])

    return made


def _jobs(service: Service, door: Door) -> APIRouter:
    made = APIRouter(tags=["job"], responses=REFUSALS)
    for name, kind in bodies.JOBS.items():
        made.add_api_route(
            f"/rundeck/job/{name}/{{instance}}", _ask(service, door, kind), methods=["POST"], status_code=202,
            responses=ACCEPTED, name=name, operation_id=name,
            description="Accepted, it is done although the server be killed, and once.",
        )  # fmt: skip

    @made.get("/job", dependencies=[Depends(door.asker)])
    def jobs(
        instance: Annotated[Name | None, Query()] = None,
        state: Annotated[JobState | None, Query()] = None,
        limit: Annotated[int, Query(ge=1, le=1000)] = 100,
    ) -> shapes.Response[list[JobShape]]:
        """The newest jobs first, without their logs."""
        found = service.queue.newest(instance or "", state or "", limit)
        return shapes.Response(response=[views.job(one, []) for one in found])

    @made.get("/job/{number}", dependencies=[Depends(door.asker)])
    async def job(number: Number, wait: Wait = 0) -> shapes.Response[JobShape]:
        """One job with its log."""
        found = await _ended(service, await run_in_threadpool(service.queue.get, number), wait)
        return shapes.Response(response=views.job(found, await run_in_threadpool(service.queue.log, number)))

    return made


def _ask(service: Service, door: Door, kind: bodies.JobKind) -> Callable[..., Awaitable[shapes.Response[JobShape]]]:
    """The route's function: its body is the job's own arguments."""
    arguments: Any = kind.arguments if kind.needs else kind.arguments | None
    given: Any = Body() if kind.needs else Body(None)

    async def ask(
        instance: Name, who: Annotated[str, Depends(door.asker)], response: Response, body: arguments = given,
        wait: Wait = 0, idempotency_key: IdempotencyKey = None,
    ) -> shapes.Response[JobShape]:  # fmt: skip
        values = body.model_dump(exclude_unset=True) if body else {}
        request = Request(kind.operation, instance, on=kind.on, **values)
        job = await run_in_threadpool(service.ask, request, who, idempotency_key)
        return await _told(service, job, wait, response)

    return ask


def _create(
    service: Service, request: Request, fields: dict[str, str | None], who: str, idempotency_key: str | None
) -> QueuedJob:
    """Ask for a new instance, and write down what the asker says of it."""
    new = request.instance not in service.inventory.names()
    job = service.ask(request, who, idempotency_key)
    wanted = {key: value for key, value in fields.items() if value and new}
    service.book.write(request.instance, FIELD, wanted, who)
    return job


async def _told(service: Service, job: QueuedJob, wait: float, response: Response) -> shapes.Response[JobShape]:
    job = await _ended(service, job, wait)
    response.status_code = 200 if job.done else 202
    response.headers["Location"] = f"/api/v1/job/{job.id}"
    return shapes.Response(response=views.job(job, await run_in_threadpool(service.queue.log, job.id)))


async def _ended(service: Service, job: QueuedJob, seconds: float) -> QueuedJob:
    """The job when it has ended, or as it is after ``seconds``; who waits holds no thread."""
    loop = asyncio.get_running_loop()
    deadline, pause = loop.time() + seconds, FIRST_LOOK_SECONDS
    while not job.done and not service.workers.stopping and loop.time() < deadline:
        await asyncio.sleep(min(pause, max(0.0, deadline - loop.time())))
        job = await run_in_threadpool(service.queue.get, job.id)
        pause = min(2 * pause, LOOK_SECONDS)
    return job


def _metadata(service: Service, facts: dict[str, Any]) -> shapes.Metadata:
    return views.metadata(facts, service.book.read(facts["name"], ATTRIBUTE), service.provider.name)
