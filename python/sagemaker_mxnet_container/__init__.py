"""What MXNet scripts import of their image."""
