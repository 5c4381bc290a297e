"""Qt parts that the tools share; none of them knows a tool."""
