"""What user scripts import of the SageMaker training toolkit, for jobs that Millwright runs.

The toolkit's own work, running the script, is millwright-runner's; here is the view of the job from inside.
docs/reference/script_mode.md says what is there.
"""
