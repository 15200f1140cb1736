"""Line-drawing widgets that repaint only the cells that changed."""
