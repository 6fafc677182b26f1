console.log('godwit')
