"""What runs: started, ended and watched."""
