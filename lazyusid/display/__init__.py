"""What people see of files and Mains."""
