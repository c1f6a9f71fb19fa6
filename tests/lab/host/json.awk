# Flattens JSON for the shell: every object becomes one line, the path of the keys that lead to it
# and then its scalar members as KEY=VALUE, in their order. Numbers stay the text they were.
{ text = text $0 "\n" }

function member()
{
	if (key != "" && value != "")
		line[depth] = line[depth] " " key "=" value
	key = value = ""
}

END {
	while (match(text, /"([^"\\]|\\.)*"|[][{},:]|[^][{},:" \t\r\n]+/)) {
		token = substr(text, RSTART, RLENGTH)
		text = substr(text, RSTART + RLENGTH)
		if (token == "{" || token == "[") {
			path[depth + 1] = path[depth] (path[depth] != "" && key != "" ? "." : "") key
			line[++depth] = ""
			key = value = ""
		} else if (token == "}" || token == "]") {
			member()
			if (line[depth] != "")
				print path[depth] line[depth]
			depth--
		} else if (token == ":") {
			key = value
			value = ""
		} else if (token == ",") {
			member()
		} else {
			gsub(/^"|"$/, "", token)
			value = token
		}
	}
}
