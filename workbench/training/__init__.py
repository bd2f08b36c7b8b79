"""Training HODM on source devices, and transferring it to a new one."""
