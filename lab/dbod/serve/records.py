"""Routes to what is only read: backups, configuration, logs, the state checker's record, the change history."""

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Response

from lab.dbod.contract import Operation
from lab.dbod.dockerhost.records import moment
from lab.dbod.serve import clock, shapes, views
from lab.dbod.serve.answers import REFUSALS
from lab.dbod.serve.auth import Door
from lab.dbod.serve.service import Service
from lab.dbod.serve.words import Name

Hours = Annotated[float, Query(gt=0, le=72)]


def records(service: Service, door: Door) -> APIRouter:
    """Those routes."""
    made = APIRouter(tags=["record"], responses=REFUSALS, dependencies=[Depends(door.asker)])

    @made.get("/service")
    def service_shape() -> shapes.Response[shapes.ServiceShape]:
        """What is served, and how it is."""
        provider = service.provider
        return shapes.Response(
            response=shapes.ServiceShape(
                provider=provider.name,
                does=sorted(provider.does),
                lacks={str(key): why for key, why in provider.lacks.items()},
                work={str(key): why for key, why in provider.work.items()},
                trouble=service.trouble,
                alarms=[views.alarm(one) for one in service.alarms()],
                restarts=service.workers.restarts,
                instances=len(service.inventory.names()),
                jobs=service.queue.counts(),
                now=moment().isoformat(timespec="seconds"),
            )
        )

    @made.get("/instance/{name}/backup")
    def backups(name: Name) -> shapes.Response[shapes.Backups]:
        """An instance's backups and their schedule."""
        found, schedule, now = (
            service.read(Operation.BACKUPS, name),
            service.scheduler.schedules.of(name),
            clock.now(),
        )
        return shapes.Response(
            response=shapes.Backups(
                backups=[shapes.BackupRow.model_validate(one) for one in found],
                schedule=shapes.Schedule.model_validate(
                    schedule.as_dict(now.wall) | {"next": service.scheduler.following(schedule, now).isoformat()}
                )
                if schedule
                else None,
                runs=[shapes.RunRow.model_validate(one) for one in service.scheduler.runs(name)],
            )
        )

    @made.get("/instance/{name}/config")
    def config(name: Name) -> shapes.Response[dict[str, str]]:
        """The settings that were put."""
        return shapes.Response(response=service.read(Operation.CONFIG_GET, name))

    @made.get("/instance/{name}/log")
    def log(name: Name) -> shapes.Response[list[str]]:
        """The server's last lines."""
        return shapes.Response(response=service.read(Operation.LOGS, name))

    @made.get("/instance/{name}/monitor")
    def monitor(name: Name) -> shapes.Response[dict[str, Any]]:
        """What the provider tells of the instance at this moment."""
        return shapes.Response(response=service.read(Operation.MONITOR, name))

    @made.get("/instance/{name}/credentials")
    def credentials(name: Name, response: Response) -> shapes.Response[dict[str, Any]]:
        """The administrator's login."""
        response.headers["Cache-Control"] = "no-store"
        return shapes.Response(response=service.read(Operation.CREDENTIALS, name))

    @made.get("/instance/{name}/history")
    def history(name: Name) -> shapes.Response[list[shapes.ChangeRow]]:
        """Who changed what, newest first; it outlives the instance."""
        found = service.book.history(name)
        if not found:
            service.need(name)
        return shapes.Response(response=[shapes.ChangeRow.model_validate(one) for one in found])

    @made.get("/instance/{name}/state")
    def states(name: Name, hours: Hours = 24) -> shapes.Response[list[shapes.StateRow]]:
        """What the state checker saw of an instance."""
        service.need(name)
        found = service.states.of(name, moment() - timedelta(hours=hours))
        return shapes.Response(response=[shapes.StateRow.model_validate(one) for one in found])

    @made.get("/states")
    def all_states(hours: Hours = 24) -> shapes.Response[list[shapes.LookRow]]:
        """What the state checker saw of all: how many instances were in which state."""
        found = service.states.summary(moment() - timedelta(hours=hours))
        return shapes.Response(response=[shapes.LookRow.model_validate(one) for one in found])

    @made.get("/backups-per-day")
    def per_day(
        days: Annotated[int, Query(ge=1, le=90)] = 14, instance: Annotated[Name | None, Query()] = None
    ) -> shapes.Response[list[shapes.DayRow]]:
        """Backups that were tried, by day."""
        found = service.queue.backups_a_day(days, instance or "")
        return shapes.Response(response=[shapes.DayRow.model_validate(one) for one in found])

    return made
