from hypothesis import HealthCheck, settings

# a machine that is busy with other tests is no reason to fail
settings.register_profile("busy", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("busy")
