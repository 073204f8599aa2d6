# Functions of golden.c that C cannot say: a tag, and clauses that run code while their exception is there.
	.tagtype	problem i32
	.globl	problem
problem:
	.functype	mix (i32) -> (i32)

# int fall(int depth, int kind): throws at depth 0
	.globl	fall
	.type	fall,@function
	.functype	fall (i32, i32) -> (i32)
fall:
	.functype	fall (i32, i32) -> (i32)
	local.get	0
	i32.eqz
	if
	local.get	1
	throw	problem
	end_if
	local.get	0
	i32.const	1
	i32.sub
	local.get	1
	call	fall
	local.get	0
	i32.add
	call	mix
	end_function

# int guarded(int depth, int kind): catches, calls on in the clause, throws the same again at odd depths
	.globl	guarded
	.type	guarded,@function
	.functype	guarded (i32, i32) -> (i32)
guarded:
	.functype	guarded (i32, i32) -> (i32)
	local.get	0
	i32.eqz
	if
	i32.const	3
	local.get	1
	try	i32
	i32.const	2
	local.get	1
	call	fall
	catch	problem
	call	mix
	end_try
	i32.add
	i32.add
	return
	end_if
	try	i32
	local.get	0
	i32.const	1
	i32.sub
	local.get	1
	call	guarded
	local.get	0
	local.get	1
	call	fall
	i32.add
	catch	problem
	call	mix
	local.get	0
	i32.const	1
	i32.sub
	local.get	1
	i32.const	7
	i32.add
	call	guarded
	i32.add
	local.get	1
	i32.const	1000
	i32.gt_s
	if
	rethrow	1
	end_if
	end_try
	end_function
