"""App declaration of orchestrator."""

from django.apps import AppConfig


class OrchestratorConfig(AppConfig):
    name = "orchestrator"
    label = "orchestrator"
    verbose_name = "Orchestrator"

    def ready(self) -> None:
        from orchestrator import builtin, conf, input_names, invariants, plugins
        from orchestrator.health import monitor
        from orchestrator.services import retention, standing
        from tradingsite.foundation import said

        conf.conf()  # a wrong setting stops the start-up
        conf.code_version()  # before any worker forks
        plugins.register(builtin.LEARNING)
        invariants.register_all()
        retention.register()
        standing.register_texts()
        monitor.register_texts()
        said.register(names=input_names.NAMES, words=input_names.WORDS)
