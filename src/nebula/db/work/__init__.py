"""Jobs and tasks. A job is what a person asked for or sees; its tasks are what workers claim.

rows       a task's row is added and ended; a live job's row shows the sum of its tasks
jobs       what people and the library do to jobs, and how jobs end
tasks      what workers do to tasks: claim, keep, pause, finish, fail, release, lose
families   one family of encoders for each film
chunks     films that are encoded in chunks
adopting   jobs of the version before, which had no tasks
"""
