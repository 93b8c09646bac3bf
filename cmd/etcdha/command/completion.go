package command

import (
	"fmt"

	"github.com/urfave/cli/v2"

	"github.com/etcdha/etcdha/internal/fail"
)

// The shells ask the program itself, so that these stay true.
const bashCompletion = `_etcdha() {
  local cur="${COMP_WORDS[COMP_CWORD]}"
  local words=("${COMP_WORDS[@]:0:COMP_CWORD}")
  if [[ "$cur" == -* ]]; then words+=("$cur"); fi
  COMPREPLY=($(compgen -W "$("${words[@]}" --generate-bash-completion 2>/dev/null)" -- "$cur"))
  if [[ ${#COMPREPLY[@]} -eq 0 ]]; then COMPREPLY=($(compgen -f -- "$cur")); fi
}
complete -o filenames -F _etcdha etcdha
`

const zshCompletion = `#compdef etcdha
autoload -U +X bashcompinit && bashcompinit
` + bashCompletion

func completionCommand() *cli.Command {
	return &cli.Command{
		Name:      "completion",
		Usage:     "print the completion script of a shell: bash, zsh or fish",
		ArgsUsage: "SHELL",
		Action: func(c *cli.Context) error {
			var script string
			switch shell := c.Args().First(); shell {
			case "bash":
				script = bashCompletion
			case "zsh":
				script = zshCompletion
			case "fish":
				var err error
				if script, err = c.App.ToFishCompletion(); err != nil {
					return err
				}
			default:
				return fail.WithHint(fail.Usagef("no completion for shell %q: bash, zsh or fish", shell), "source <(etcdha completion bash)")
			}
			_, err := fmt.Fprint(c.App.Writer, script)
			return err
		},
	}
}
