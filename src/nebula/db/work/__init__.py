"""Jobs and tasks. A job is what a person asked for or sees; its tasks are what workers claim.

rows       add and end the rows of tasks; write the sum of a live job's tasks into the job's row
jobs       what people and the library do to jobs, and how jobs end
tasks      what workers do to tasks: claim, keep, pause, finish, fail, release, lose
families   the one encoder that all chunks of a film's picture share
chunks     films that are encoded in chunks
adopting   jobs of the previous version, which had no tasks
"""
