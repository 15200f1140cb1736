"""What is shown. Decides nothing: it draws what core knows."""
