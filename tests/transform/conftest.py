from hypothesis import settings

# The machine that runs the tests may be busy with something else.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
