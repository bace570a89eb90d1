"""What scripts import as sagemaker_containers.beta.framework."""
